"""From selected rows to a request: which groups a sensitive tensor or weight concerns.

A tensor is held at the high format only if its writer can write it: a writer that cannot at its own precision is
promoted with it. It is read at the high format only by slots that read so at the reader's higher precision. A tensor in
a float format needs both its writer and its readers in float. Weights concern their group. See docs/search.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from search.assignment import Assignment
from search.graph.network import Network, OpClass, SlotKind
from search.precision import Format, Precision
from search.sensitivity.points import Point, PointKind
from search.sensitivity.table import Row, Table
from search.targets.nearest import as_kind, nearest
from search.targets.placement import stored_format
from search.targets.rulebook import Rulebook


@dataclass(frozen=True)
class Promotion:
    """How rows measured on one base become requests above it.

    Attributes:
        book: The rules of the chip laid over the network.
        base: Requested assignment the rows were measured on; groups that are float there stay.
        high: int16, or a float format, which then takes whole groups.
    """

    book: Rulebook
    base: Assignment
    high: Format
    _concerned: dict[Point, tuple[tuple[int, str], ...]] = field(default_factory=dict, repr=False, compare=False)

    def request(self, rows: Iterable[Row]) -> Assignment:
        """Return the base with the points of ``rows`` at ``high``."""
        sides: dict[int, set[str]] = {}
        for row in rows:
            for group, side in self.concerned(row):
                sides.setdefault(group, set()).add(side)
        return self.base.with_({g: self._raised(g, found) for g, found in sides.items()})

    def concerned(self, row: Row) -> tuple[tuple[int, str], ...]:
        """Return ``(group, side)`` pairs to raise for one row; the side is ``activation`` or ``weight``."""
        if row.point not in self._concerned:
            self._concerned[row.point] = self._pairs(row.point)
        return self._concerned[row.point]

    def _pairs(self, point: Point) -> tuple[tuple[int, str], ...]:
        network = self.book.network
        if point.kind is PointKind.WEIGHT:
            return ((network.constants[point.index].group, "weight"),)
        pairs = dict.fromkeys(
            (g, side_of_slot(network, g, s)) for g, s in network.readers[point.index] if self._gains(g, s)
        )
        writer = network.tensors[point.index].writer
        if writer is not None and not self._writes_high(writer):
            pairs[(writer, "activation")] = None
        return tuple(pairs)

    def sides(self, tables: Iterable[Table]) -> dict[int, str]:
        """Per gemm group: the side whose most sensitive row has the larger share of its table's largest value."""
        strength: dict[tuple[int, str], float] = {}
        for table in tables:
            top = max((row.value for row in table.rows), default=0.0) or 1.0
            for row in table.rows:
                for pair in self.concerned(row):
                    strength[pair] = max(strength.get(pair, 0.0), row.value / top)
        gemms = sorted({group for group, _ in strength if self.book.network.groups[group].is_gemm})
        return {
            g: "weight" if strength.get((g, "weight"), 0.0) > strength.get((g, "activation"), 0.0) else "activation"
            for g in gemms
        }

    def _gains(self, group: int, slot: int) -> bool:
        """Whether the slot is read at ``high`` once its side is raised, and not before."""
        network = self.book.network
        if network.groups[group].op_class is OpClass.FLOAT:
            return False
        raised = self._raised(group, {side_of_slot(network, group, slot)})
        if raised not in self.book.rules[group].precisions:
            return False
        before = self.book.read(group, slot, self._own(group))
        return before < self.high <= self.book.read(group, slot, raised)

    def _writes_high(self, group: int) -> bool:
        """Whether the group would store its output at ``high`` or better at its base precision."""
        if self.book.network.groups[group].op_class is OpClass.FLOAT:
            return True
        return stored_format(self.book.caps(group, self._own(group)), (self.high,)) >= self.high

    def _own(self, group: int) -> Precision:
        """What the chip makes of the base precision."""
        asked = as_kind(self.base[group], is_gemm=self.book.network.groups[group].is_gemm)
        return nearest(asked, self.book.allowed[group].choices)

    def _raised(self, group: int, sides: set[str]) -> Precision:
        base = self.base[group]
        if base.is_float and not self.high > base.activation:
            return base
        if not self.high.is_integer or not self.book.network.groups[group].is_gemm:
            return Precision.uniform(max(self.high, base.activation))
        activation = self.high if "activation" in sides else base.activation
        weight = self.high if "weight" in sides else base.weight
        return Precision.pair(max(activation, base.activation), max(weight, base.weight))


def side_of_slot(network: Network, group: int, slot: int) -> str:
    """Side of a group's precision that a slot is read in: ``weight`` for the second input of a gemm."""
    return "weight" if network.groups[group].inputs[slot].kind is SlotKind.SECOND else "activation"


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
