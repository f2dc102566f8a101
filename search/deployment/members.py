"""The precision of every node of the delivered graph, whatever part it has: no tool is left to guess one.

A node of a group computes at the group's precision. What is fused into a gemm runs in the gemm's activation format:
named otherwise, or not at all, a tool falls back to its default, and a Relu in float16 behind an int8 Conv is another
network. An Add that is fused in reads the summed tensor in a format of its own. A node that only moves a value has the
format that value is stored in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from search.deployment.deployment import Deployment
from search.graph.network import OpClass, SlotKind
from search.precision import Format, Precision

Role = Literal["compute", "fused", "move", "float"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One node of the delivered graph.

    Attributes:
        name: Of the node.
        op_type: ONNX operator.
        role: ``compute`` names its group, ``fused`` belongs to another node's group, ``move`` only passes a value on,
            ``float`` is not quantized.
        group: Index of its group; None for ``move``.
        precision: Of the group; None for ``move``.
        format: What it computes, or holds, its values in.
        reads: Input position to format, of the inputs that are tensors of the network.
        stored: Format of what it writes, where that is stored; None where the value is fused away.
    """

    name: str
    op_type: str
    role: Role
    group: int | None
    precision: Precision | None
    format: Format
    reads: Mapping[int, Format]
    stored: Format | None = None


def members(deployment: Deployment) -> tuple[Member, ...]:
    """Return every node of the groups, in their order, then the nodes that only move values."""
    grouped = [one for index in range(len(deployment.network.groups)) for one in _of_group(deployment, index)]
    known = {one.name for one in grouped}
    return (*grouped, *(one for one in _moves(deployment) if one.name not in known))


def acting_nodes(deployment: Deployment, index: int) -> tuple[str, ...]:
    """Return the nodes of a group: its members, and those that read for it under another name."""
    group = deployment.network.groups[index]
    return tuple(dict.fromkeys([*group.nodes, *(slot.node for slot in group.inputs)]))


def ending_node(deployment: Deployment, index: int) -> str:
    """Return the node whose output is stored: the last one fused into a gemm, else the one that names the group."""
    group = deployment.network.groups[index]
    return group.nodes[-1] if group.op_class is OpClass.GEMM else group.name


def _of_group(deployment: Deployment, index: int) -> Iterator[Member]:
    group, precision = deployment.network.groups[index], deployment.effective[index]
    is_float = group.op_class is OpClass.FLOAT
    summed = {slot.node: fmt for slot, fmt in deployment.slots(index) if slot.kind is SlotKind.SUM_IN}
    own = Format.FP32 if is_float else precision.activation
    for node in acting_nodes(deployment, index):
        is_named = node == group.name
        yield Member(
            name=node,
            op_type=deployment.node_types.get(node, group.op_type if is_named else ""),
            role="float" if is_float else "compute" if is_named else "fused",
            group=index,
            precision=precision,
            format=own if is_named else summed.get(node, own),
            reads={slot.index: fmt for slot, fmt in deployment.slots(index) if slot.node == node and slot.index >= 0},
            stored=_stored(deployment, index) if node == ending_node(deployment, index) else None,
        )


def _stored(deployment: Deployment, index: int) -> Format | None:
    outputs = deployment.network.groups[index].outputs
    return deployment.placement.stored[outputs[0]] if outputs else None


def _moves(deployment: Deployment) -> Iterator[Member]:
    for node, tensor in deployment.passes.items():
        fmt = deployment.placement.stored[tensor]
        op_type = deployment.node_types.get(node, "")
        yield Member(
            name=node, op_type=op_type, role="move", group=None, precision=None, format=fmt, reads={}, stored=fmt
        )
