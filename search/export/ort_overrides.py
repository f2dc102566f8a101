"""``ort_overrides.json``: the placement as ONNX Runtime's tensor overrides, with every scale at both ends.

A stored integer tensor is one entry; readers in the other width are its ``convert``. What the override format cannot
say stands under ``meta`` for ``ort_quantize.py``:

- ``aliases``: values that repeat the grid of the tensor behind a Reshape or the like; no Q/DQ pair of their own;
- ``only_for``: tensors stored in float of which the nodes listed read a quantized copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx

from search.deployment.deployment import Deployment, WeightGrid
from search.deployment.float_model import FLOAT_MODEL
from search.deployment.gap import Gap
from search.export.ort_types import OrtType
from search.export.overrides_input import SCHEMA
from search.graph.limits import opset_of
from search.graph.network import OpClass
from search.precision import Format
from search.quant.grid import Grid


@dataclass
class _Document:
    """The parts of the file while they are collected."""

    overrides: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    aliases: set[str] = field(default_factory=set)
    only_for: dict[str, list[str]] = field(default_factory=dict)


def ort_overrides(deployment: Deployment, gaps: Sequence[Gap] = ()) -> dict[str, Any]:
    """Return the document as a JSON value; lists and keys are sorted.

    Args:
        deployment: What is delivered.
        gaps: What the format cannot say; stated under ``meta``.

    Raises:
        ValueError: If a scale the placement needs is missing.
    """
    document = _Document()
    for tensor in range(len(deployment.network.tensors)):
        _add_tensor(document, deployment, tensor)
    for index, constant in enumerate(deployment.network.constants):
        if deployment.placement.constants[index].is_integer:
            # A constant that two groups share has one entry: the format of its first reader.
            document.overrides.setdefault(constant.name, _channels(deployment.weights[index]))
    return {
        "schema": SCHEMA,
        "meta": {**_meta(deployment, document), "gaps": [gap.sentence for gap in gaps]},
        "overrides": dict(sorted(document.overrides.items())),
    }


def ort_overrides_text(deployment: Deployment, gaps: Sequence[Gap] = ()) -> str:
    """Return the document as JSON text with one entry per line."""
    document = ort_overrides(deployment, gaps)
    rows = ",\n".join(
        f"  {json.dumps(tensor)}: {json.dumps(entries, allow_nan=False)}"
        for tensor, entries in document["overrides"].items()
    )
    meta = json.dumps(document["meta"], indent=1, allow_nan=False)
    return f'{{"schema": {json.dumps(document["schema"])},\n"meta": {meta},\n"overrides": {{\n{rows}\n}}}}\n'


def integer_nodes(deployment: Deployment) -> frozenset[str]:
    """Return the nodes that belong to a group with integer arithmetic."""
    found: set[str] = set()
    for index, group in enumerate(deployment.network.groups):
        if not _is_integer_group(deployment, index):
            continue
        found.update(group.nodes)
        found.update(slot.node for slot in group.inputs)
        found.update(deployment.network.constants[c].node for c in deployment.network.constants_of[index])
    return frozenset(found)


def _add_tensor(document: _Document, deployment: Deployment, tensor: int) -> None:
    """Enter a tensor and the values behind it that some group reads.

    The runtime's tool sees a tensor only if an integer operator touches it. A model input that is read behind a Reshape
    alone is therefore stated there; the values are the same.
    """
    name = deployment.network.tensors[tensor].name
    stored = deployment.placement.stored[tensor]
    if not deployment.network.readers[tensor] and not deployment.network.tensors[tensor].model_outputs:
        return
    touched = _is_touched(deployment, tensor)
    readers: dict[str, dict[Format, list[str]]] = {name: {}}
    for group, slot in deployment.network.readers[tensor]:
        fmt = deployment.placement.read[group][slot]
        by_format = readers.setdefault(deployment.value_read(group, slot), {})
        by_format.setdefault(fmt, []).append(deployment.network.groups[group].inputs[slot].node)
    for value, by_format in readers.items():
        integers = {fmt: nodes for fmt, nodes in by_format.items() if fmt.is_integer}
        if stored.is_integer:
            if not integers and (value != name or not touched):
                continue
            _enter(document, deployment, tensor, value=value, own=stored, others=integers)
            if value != name and touched:
                document.aliases.add(value)
        elif integers:
            _enter(document, deployment, tensor, value=value, own=max(integers), others=integers)
            document.only_for[value] = sorted({node for nodes in integers.values() for node in nodes})


def _is_touched(deployment: Deployment, tensor: int) -> bool:
    """Tell whether an integer group writes a tensor, or reads it under its own name."""
    network = deployment.network
    readers = [g for g, s in network.readers[tensor] if deployment.value_read(g, s) == network.tensors[tensor].name]
    writer = network.tensors[tensor].writer
    return any(_is_integer_group(deployment, g) for g in (*readers, *([] if writer is None else [writer])))


def _is_integer_group(deployment: Deployment, index: int) -> bool:
    return not deployment.effective[index].is_float and deployment.network.groups[index].op_class is not OpClass.FLOAT


def _enter(
    document: _Document,
    deployment: Deployment,
    tensor: int,
    *,
    value: str,
    own: Format,
    others: dict[Format, list[str]],
) -> None:
    entry = _grid_entry(deployment.grid(tensor, own))
    for fmt, nodes in others.items():
        if fmt is not own:
            entry["convert"] = {**_grid_entry(deployment.grid(tensor, fmt)), "recv_nodes": sorted(set(nodes))}
    document.overrides[value] = [entry]


def _grid_entry(grid: Grid) -> dict[str, Any]:
    return {
        "quant_type": OrtType(grid.bits, grid.signed).name,
        "scale": float(grid.scale),
        "zero_point": int(grid.zero_point),
    }


def _channels(weight: WeightGrid) -> list[dict[str, Any]]:
    kind = OrtType(weight.bits, weight.signed).name
    axis = {} if weight.axis is None else {"axis": weight.axis}
    return [
        {"quant_type": kind, **axis, "scale": float(scale), "zero_point": int(zero_point)}
        for scale, zero_point in zip(weight.scales, weight.zero_points, strict=True)
    ]


def _meta(deployment: Deployment, document: _Document) -> dict[str, Any]:
    inside, types = integer_nodes(deployment), deployment.node_types
    eight_bit = [grid for (_, bits), grid in sorted(deployment.grids.items()) if bits == 8]
    unsigned = any(not grid.signed for grid in eight_bit)
    return {
        "model": FLOAT_MODEL,
        "inputs": {entry.name: list(entry.shape) for entry in deployment.inputs},
        "opset": opset_of(onnx.load_from_string(deployment.quantized)),
        "activation_type": "QUInt8" if unsigned else "QInt8",
        "weight_type": "QInt8",
        "per_channel": any(weight.axis is not None for weight in deployment.weights.values()),
        "op_types_to_quantize": _sorted(
            deployment.node_types[node] for node in inside if node in deployment.node_types
        ),
        "nodes_to_exclude": _sorted(node for node in types if node not in inside),
        "aliases": _sorted(document.aliases),
        "only_for": dict(sorted(document.only_for.items())),
    }


def _sorted(values: Iterable[str]) -> list[str]:
    return sorted(set(values))
