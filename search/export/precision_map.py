"""``precision_map.json``: the network drawn with the precision of every group, for the report and the dashboard.

Nodes are model inputs and values that follow from shapes alone, groups in the order they run, and model outputs; edges
are tensors with the format they are stored in and the one they are read in. Coordinates are made here, once; whoever
shows the map only places marks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.assignment import Assignment
from search.export.drawing.draw import draw
from search.export.drawing.scopes import collapsed_at_first, scope_tree
from search.graph.network import Network
from search.precision import Format, Precision
from search.records.trial import Role, TrialRecord
from search.targets.cost import PER_MICROSECOND, Breakdown
from search.targets.placement import Placement

SCHEMA = "bitbudget.map/1"
MOST_TRIALS = 300
PRECISIONS = tuple(precision.value for precision in Precision)
"""A trial is one digit per group: a position in this list."""


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """What the map shows.

    Attributes:
        network: Groups and tensors.
        requested: Before the chip rules.
        effective: What was delivered.
        reasons: Group to why its precision was changed.
        placement: Formats of the delivered assignment.
        breakdown: Its cost.
        trials: What to compare with, in order.
        assignments: Number of each trial to its precisions.
        front: Numbers of the trials on the front.
        chosen: Number of the delivered trial, or None.
    """

    network: Network
    requested: Assignment
    effective: Assignment
    reasons: Mapping[int, str]
    placement: Placement
    breakdown: Breakdown
    trials: Sequence[TrialRecord] = ()
    assignments: Mapping[int, Assignment] = field(default_factory=dict)
    front: Collection[int] = ()
    chosen: int | None = None


@dataclass(frozen=True)
class _Edge:
    """A tensor on its way from one node to another; the casts of several slots are one."""

    source: int
    target: int
    tensor: int
    stored: Format
    read: Format


def precision_map(mapped: Mapped) -> dict[str, Any]:
    """Return the value of ``precision_map.json``."""
    network = mapped.network
    inputs = [t for t, tensor in enumerate(network.tensors) if tensor.writer is None and _is_seen(network, t)]
    outputs = [(t, name) for t, tensor in enumerate(network.tensors) for name in tensor.model_outputs]
    edges = _edges(mapped, inputs, outputs)
    n_nodes = len(inputs) + len(network.groups) + len(outputs)
    pairs = list(dict.fromkeys((edge.source, edge.target) for edge in edges))
    drawing = draw(n_nodes, pairs)
    bends = dict(zip(pairs, drawing.bends, strict=True))
    costs = _cost_shares(mapped.breakdown)
    tree = scope_tree([group.name for group in network.groups])
    nodes = [
        *({"kind": _given(network, t), "id": f"t{t}", "name": network.tensors[t].op_name} for t in inputs),
        *({"kind": "group", **_group(mapped, g, costs), "scope": tree.scope_of[g]} for g in range(len(network.groups))),
        *({"kind": "output", "id": f"out{index}", "name": name} for index, (_, name) in enumerate(outputs)),
    ]
    return {
        "schema": SCHEMA,
        "width": drawing.width,
        "rows": max(drawing.rows, default=-1) + 1,
        "nodes": [{**node, "row": row, "x": x} for node, row, x in zip(nodes, drawing.rows, drawing.x, strict=True)],
        "edges": [_edge(network, edge, bends[(edge.source, edge.target)]) for edge in edges],
        "scopes": [{"path": scope.path, "parent": scope.parent, "size": scope.size} for scope in tree.scopes],
        "collapsed": list(collapsed_at_first(tree)),
        "precisions": list(PRECISIONS),
        "chosen": mapped.chosen,
        "trials": [_trial(mapped, trial) for trial in _kept(mapped)],
        "n_trials": len(mapped.trials),
        "n_casts": sum(edge.stored is not edge.read for edge in edges),
        "cast_share": _share(sum(cast.microseconds for cast in mapped.breakdown.casts), mapped.breakdown.total),
    }


def _given(network: Network, tensor: int) -> str:
    """What a tensor is that no group writes: a model input bears its own name, or is an integer brought to float."""
    one = network.tensors[tensor]
    return "input" if one.name == one.op_name or one.integer_input is not None else "given"


def _is_seen(network: Network, tensor: int) -> bool:
    return bool(network.readers[tensor] or network.tensors[tensor].model_outputs)


def _edges(mapped: Mapped, inputs: Sequence[int], outputs: Sequence[tuple[int, str]]) -> list[_Edge]:
    """Edges between nodes: inputs first, then groups, then outputs."""
    network, placement = mapped.network, mapped.placement
    first = len(inputs)
    place = {t: index for index, t in enumerate(inputs)}
    place |= {t: first + tensor.writer for t, tensor in enumerate(network.tensors) if tensor.writer is not None}
    found: dict[_Edge, None] = {}
    for g, group in enumerate(network.groups):
        for slot, read in zip(group.inputs, placement.read[g], strict=True):
            edge = _Edge(place[slot.tensor], first + g, slot.tensor, placement.stored[slot.tensor], read)
            found[edge] = None
    for index, (t, _) in enumerate(outputs):
        target = first + len(network.groups) + index
        found[_Edge(place[t], target, t, placement.stored[t], placement.stored[t])] = None
    return list(found)


def _edge(network: Network, edge: _Edge, bends: Sequence[float]) -> dict[str, Any]:
    return {
        "from": edge.source,
        "to": edge.target,
        "tensor": network.tensors[edge.tensor].name,
        "stored": edge.stored.value,
        "read": edge.read.value,
        "bends": list(bends),
    }


def _cost_shares(breakdown: Breakdown) -> list[float]:
    """Share of the cost per group, with the casts of what it reads."""
    times = [time.picoseconds / PER_MICROSECOND for time in breakdown.groups]
    for cast in breakdown.casts:
        if cast.reader is not None:
            times[cast.reader] += cast.microseconds
    return [_share(time, breakdown.total) for time in times]


def _group(mapped: Mapped, group: int, costs: Sequence[float]) -> dict[str, Any]:
    one, network = mapped.network.groups[group], mapped.network
    return {
        "id": f"g{group}",
        "name": one.name,
        "op_type": one.op_type,
        "n_nodes": len(one.nodes),
        "precision": mapped.effective[group].value,
        "requested": mapped.requested[group].value,
        "why": mapped.reasons.get(group, ""),
        "macs": one.macs,
        "macs_share": _share(one.macs, network.total_macs),
        "cost_share": costs[group],
    }


def _share(part: float, total: float) -> float:
    return round(part / total, 6) if total else 0.0


def _kept(mapped: Mapped) -> list[TrialRecord]:
    """At most ``MOST_TRIALS``: the chosen one, bounds and front, then the first."""

    def order(trial: TrialRecord) -> tuple[bool, int]:
        matters = trial.no == mapped.chosen or trial.no in mapped.front or trial.role is not Role.CANDIDATE
        return not matters, trial.no

    return sorted(sorted(mapped.trials, key=order)[:MOST_TRIALS], key=lambda trial: trial.no)


def _trial(mapped: Mapped, trial: TrialRecord) -> dict[str, Any]:
    return {
        "trial": trial.no,
        "stage": trial.stage,
        "cost": trial.cost,
        "verdict": trial.verdict.value,
        "precisions": "".join(str(PRECISIONS.index(value)) for value in mapped.assignments[trial.no].to_json()),
    }
