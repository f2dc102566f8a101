"""``qconfig.csv``: what every operator reads, computes and stores, requested against effective.

One line per model input and per node of a group. The line of the node that names the group carries the decision; the
line of a fused node says into what it was fused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from search.deployment.deployment import Deployment
from search.deployment.members import acting_nodes, ending_node
from search.export.csv_text import Cell, csv_bytes
from search.export.torch_scope import scope_of

COLUMNS = (
    "name", "op_type", "group", "input_dtypes", "output_dtype", "weight_dtype", "ch_axis", "observer", "threshold",
    "scale", "fixed", "calls", "requested", "effective", "reason",
)  # fmt: skip


def qconfig_csv(deployment: Deployment) -> bytes:
    """Return the file: model inputs first, then groups in network order."""
    return csv_bytes(COLUMNS, [*_input_rows(deployment), *_group_rows(deployment)])


def module_calls(deployment: Deployment) -> Counter[tuple[str, str]]:
    """Count the nodes of each operator type per module path: above 1, a module is called several times."""
    found: Counter[tuple[str, str]] = Counter()
    for node, op_type in deployment.node_types.items():
        scope = scope_of(node)
        if scope is not None:
            found[scope, op_type] += 1
    return found


def _input_rows(deployment: Deployment) -> Iterator[list[Cell]]:
    for t, tensor in enumerate(deployment.network.tensors):
        if tensor.writer is None:
            row: dict[str, Cell] = {"name": tensor.name, "op_type": "Input", "calls": 1, **_stored(deployment, t)}
            yield [row.get(column) for column in COLUMNS]


def _group_rows(deployment: Deployment) -> Iterator[list[Cell]]:
    calls = module_calls(deployment)
    for index, group in enumerate(deployment.network.groups):
        for node in acting_nodes(deployment, index):
            op_type = deployment.node_types.get(node, group.op_type if node == group.name else "")
            row: dict[str, Cell] = {"name": node, "op_type": op_type, "group": f"g{index}"}
            scope = scope_of(node)
            row["calls"] = calls.get((scope, op_type), 1) if scope is not None else 1
            row |= _reads(deployment, index, node) | _weight(deployment, index, node) | _writes(deployment, index, node)
            row |= _decision(deployment, index) if node == group.name else _fused(deployment, node, into=group.name)
            yield [row.get(column) for column in COLUMNS]


def _reads(deployment: Deployment, index: int, node: str) -> dict[str, Cell]:
    formats = [fmt.value for slot, fmt in deployment.slots(index) if slot.node == node]
    return {"input_dtypes": ";".join(formats)}


def _weight(deployment: Deployment, index: int, node: str) -> dict[str, Cell]:
    for c in deployment.network.constants_of[index]:
        constant = deployment.network.constants[c]
        if constant.node == node:
            fmt = deployment.placement.constants[c]
            axis = deployment.weights[c].axis if fmt.is_integer and c in deployment.weights else None
            return {"weight_dtype": fmt.value, "ch_axis": axis}
    return {}


def _writes(deployment: Deployment, index: int, node: str) -> dict[str, Cell]:
    group = deployment.network.groups[index]
    return _stored(deployment, group.outputs[0]) if group.outputs and node == ending_node(deployment, index) else {}


def _stored(deployment: Deployment, tensor: int) -> dict[str, Cell]:
    fmt = deployment.placement.stored[tensor]
    row: dict[str, Cell] = {"output_dtype": fmt.value}
    if fmt.is_integer:
        grid = deployment.grid(tensor, fmt)
        observation = deployment.stored_observation(tensor)
        row |= {
            "threshold": grid.threshold,
            "scale": grid.scale,
            "fixed": observation is not None and observation.fixed,
        }
        row["observer"] = observation.method if observation is not None else None
    return row


def _decision(deployment: Deployment, index: int) -> dict[str, Cell]:
    reason = deployment.reasons[index]
    pin = deployment.pins.get(index)
    if pin is not None:
        reason = "; ".join(filter(None, [reason, f"pinned by {pin.match}{', frozen' if pin.freeze else ''}"]))
    return {
        "requested": deployment.requested[index].value,
        "effective": deployment.effective[index].value,
        "reason": reason,
    }


def _fused(deployment: Deployment, node: str, *, into: str) -> dict[str, Cell]:
    fate = deployment.fates.get(node)
    return {"reason": (fate.why if fate is not None else "") or f"part of {into}"}
