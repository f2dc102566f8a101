"""``qconfig.csv``: what every operator reads, computes and stores, requested against effective.

One line per model input and per node of a group. The line of the node that names the group carries the decision; the
line of a fused node says into what it was fused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from search.export.csv_text import Cell, csv_bytes
from search.export.qconfig_plan import acting_nodes, ending_node
from search.export.solution import Solution
from search.export.torch_scope import scope_of

COLUMNS = (
    "name", "op_type", "group", "input_dtypes", "output_dtype", "weight_dtype", "ch_axis", "observer", "threshold",
    "scale", "fixed", "calls", "requested", "effective", "reason",
)  # fmt: skip


def qconfig_csv(solution: Solution) -> bytes:
    """Return the file: model inputs first, then groups in network order."""
    return csv_bytes(COLUMNS, [*_input_rows(solution), *_group_rows(solution)])


def module_calls(solution: Solution) -> Counter[tuple[str, str]]:
    """Count the nodes of each operator type per module path: above 1, a module is called several times."""
    found: Counter[tuple[str, str]] = Counter()
    for node, op_type in solution.node_types.items():
        scope = scope_of(node)
        if scope is not None:
            found[scope, op_type] += 1
    return found


def _input_rows(solution: Solution) -> Iterator[list[Cell]]:
    for t, tensor in enumerate(solution.network.tensors):
        if tensor.writer is None:
            row: dict[str, Cell] = {"name": tensor.name, "op_type": "Input", "calls": 1, **_stored(solution, t)}
            yield [row.get(column) for column in COLUMNS]


def _group_rows(solution: Solution) -> Iterator[list[Cell]]:
    calls = module_calls(solution)
    for index, group in enumerate(solution.network.groups):
        for node in acting_nodes(solution, index):
            op_type = solution.node_types.get(node, group.op_type if node == group.name else "")
            row: dict[str, Cell] = {"name": node, "op_type": op_type, "group": f"g{index}"}
            scope = scope_of(node)
            row["calls"] = calls.get((scope, op_type), 1) if scope is not None else 1
            row |= _reads(solution, index, node) | _weight(solution, index, node) | _writes(solution, index, node)
            row |= _decision(solution, index) if node == group.name else _fused(solution, node, into=group.name)
            yield [row.get(column) for column in COLUMNS]


def _reads(solution: Solution, index: int, node: str) -> dict[str, Cell]:
    formats = [fmt.value for slot, fmt in solution.slots(index) if slot.node == node]
    return {"input_dtypes": ";".join(formats)}


def _weight(solution: Solution, index: int, node: str) -> dict[str, Cell]:
    for c in solution.network.constants_of[index]:
        constant = solution.network.constants[c]
        if constant.node == node:
            fmt = solution.placement.constants[c]
            axis = solution.weights[c].axis if fmt.is_integer and c in solution.weights else None
            return {"weight_dtype": fmt.value, "ch_axis": axis}
    return {}


def _writes(solution: Solution, index: int, node: str) -> dict[str, Cell]:
    group = solution.network.groups[index]
    return _stored(solution, group.outputs[0]) if group.outputs and node == ending_node(group) else {}


def _stored(solution: Solution, tensor: int) -> dict[str, Cell]:
    fmt = solution.placement.stored[tensor]
    row: dict[str, Cell] = {"output_dtype": fmt.value}
    if fmt.is_integer:
        grid = solution.grid(tensor, fmt)
        observation = solution.stored_observation(tensor)
        row |= {
            "threshold": grid.threshold,
            "scale": grid.scale,
            "fixed": observation is not None and observation.fixed,
        }
        row["observer"] = observation.method if observation is not None else None
    return row


def _decision(solution: Solution, index: int) -> dict[str, Cell]:
    reason = solution.reasons[index]
    pin = solution.pins.get(index)
    if pin is not None:
        reason = "; ".join(filter(None, [reason, f"pinned by {pin.match}{', frozen' if pin.freeze else ''}"]))
    return {
        "requested": solution.requested[index].value,
        "effective": solution.effective[index].value,
        "reason": reason,
    }


def _fused(solution: Solution, node: str, *, into: str) -> dict[str, Cell]:
    fate = solution.fates.get(node)
    return {"reason": (fate.why if fate is not None else "") or f"part of {into}"}
