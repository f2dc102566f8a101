"""From selected rows to a request: which groups a sensitive tensor or weight concerns.

A tensor held at 16 bit needs readers that ask for 16 bit, and a writer that can write it: a writer that only writes its
own format is promoted with it. A tensor in fp16 needs both its writer and its readers in fp16. Weights concern their group.
"""

from __future__ import annotations

from collections.abc import Iterable

from search.assignment import Assignment
from search.graph.network import Group, Network, OpClass, SlotKind
from search.precision import Format, Precision
from search.sensitivity.points import PointKind
from search.sensitivity.table import Row, Table

_FREE_WRITERS = frozenset({OpClass.GEMM, OpClass.RECURRENT, OpClass.FLOAT, OpClass.NORM})
"""Classes whose integer groups write int16 whatever they read."""


def promote_rows(network: Network, base: Assignment, rows: Iterable[Row], *, high: Format) -> Assignment:
    """Return ``base`` with the points of ``rows`` at ``high``.

    Args:
        network: The network.
        base: Requested assignment the rows were measured on; groups that are float there stay.
        rows: Selected rows.
        high: int16, or a float format, which then takes whole groups.
    """
    sides: dict[int, set[str]] = {}
    for row in rows:
        for group, side in _concerned(network, row, high):
            sides.setdefault(group, set()).add(side)
    return base.with_({g: _raised(network.groups[g], base[g], found, high) for g, found in sides.items()})


def concerned_groups(network: Network, rows: Iterable[Row]) -> frozenset[int]:
    """Groups that must run in float for the points of ``rows`` to be float: writers, readers, owners."""
    found: set[int] = set()
    for row in rows:
        if row.point.kind is PointKind.WEIGHT:
            found.add(network.constants[row.point.index].group)
            continue
        writer = network.tensors[row.point.index].writer
        found |= {g for g, _ in network.readers[row.point.index]} | ({writer} if writer is not None else set())
    return frozenset(g for g in found if network.groups[g].op_class is not OpClass.FLOAT)


def sensitive_sides(network: Network, tables: Iterable[Table]) -> dict[int, str]:
    """Per gemm group: the side whose most sensitive row has the larger share of its table's largest value."""
    strength: dict[tuple[int, str], float] = {}
    for table in tables:
        top = max((row.value for row in table.rows), default=0.0) or 1.0
        for row in table.rows:
            for group, side in _concerned(network, row, Format.INT16):
                strength[(group, side)] = max(strength.get((group, side), 0.0), row.value / top)
    groups = {group for group, _ in strength if network.groups[group].is_gemm}
    return {
        g: "weight" if strength.get((g, "weight"), 0.0) > strength.get((g, "activation"), 0.0) else "activation"
        for g in sorted(groups)
    }


def _concerned(network: Network, row: Row, high: Format) -> list[tuple[int, str]]:
    """``(group, side)`` pairs to raise for one row."""
    if row.point.kind is PointKind.WEIGHT:
        return [(network.constants[row.point.index].group, "weight")]
    tensor = network.tensors[row.point.index]
    pairs = [
        (g, "weight" if network.groups[g].inputs[s].kind is SlotKind.SECOND else "activation")
        for g, s in network.readers[row.point.index]
        if network.groups[g].op_class is not OpClass.FLOAT
    ]
    writer = tensor.writer
    if writer is not None and network.groups[writer].op_class not in _FREE_WRITERS and not high > Format.FP16:
        pairs.append((writer, "activation"))
    return pairs


def _raised(group: Group, base: Precision, sides: set[str], high: Format) -> Precision:
    if base.is_float and not high > base.activation:
        return base
    if not high.is_integer:
        return Precision.uniform(high)
    if not group.is_gemm:
        return Precision.uniform(high)
    activation = high if "activation" in sides else base.activation
    weight = high if "weight" in sides else base.weight
    return Precision.pair(max(activation, base.activation), max(weight, base.weight))
