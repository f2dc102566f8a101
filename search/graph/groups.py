"""Groups: which nodes share one decision, as the chip fuses them.

1. Recognised patterns (LayerNormalization, softmax, GELU, ...) are one group each.
2. Conv, ConvTranspose, Gemm and MatMul take in what follows while the value between has a single reader and is no
   graph output: an Add of a per-channel constant (bias), one Add of an equally shaped activation, one Relu or Clip,
   in this order and as far as the runtime joins them (``search.graph.fusion``). Where both inputs of such an Add come
   from gemms, the later one takes it.
3. Every other operator that reads an activation or writes one is a group of its own; FLOAT where its class does not
   cover how it is used (other types than float32, computed parameters).
4. Nodes that only move values belong to no group, nor do those that compute shapes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from search.graph.data_free import captured, data_free_values, is_activation, is_shape_reader
from search.graph.fusion import GEMMS, Fusion
from search.graph.network import ConstantKind, OpClass, SlotKind
from search.graph.operators import CLASSES, attribute_int, class_of, is_float, passes_through
from search.graph.patterns.layer_norm import match_layer_norm, match_rms_norm
from search.graph.patterns.match import Pattern, only_reader, scalar
from search.graph.patterns.softmax import match_softmax
from search.graph.patterns.unary import match_unary

_MASK = 1e3
"""Constants of a Where at or beyond this in size (1e4, the largest float, infinity) are masks, no values."""
Shapes = Mapping[str, tuple[int, ...]]


@dataclass
class Draft:
    """A group while it is being found: ONNX nodes and places instead of indices.

    ``work`` are the members whose output elements count as vector work: all but biases, which start the accumulator;
    of a recognised pattern only the last.
    """

    anchor: ir.Node
    op_type: str
    op_class: OpClass
    nodes: list[ir.Node]
    work: list[ir.Node]
    inputs: list[tuple[ir.Node, int, SlotKind]] = field(default_factory=list)
    constants: list[tuple[ir.Node, int, ConstantKind, int | None]] = field(default_factory=list)
    outputs: list[ir.Value] = field(default_factory=list)


def find_groups(graph: ir.Graph, shapes: Shapes, fusion: Fusion) -> tuple[Draft, ...]:
    """Return all groups of ``graph`` in the order of their last node.

    Args:
        graph: Normal form: constants are initializers, every node is named.
        shapes: Shape of every value as traced with one sample.
        fusion: What the runtime joins.
    """
    order = {node: i for i, node in enumerate(graph)}
    free = data_free_values(graph)
    drafts = [_from_pattern(pattern) for pattern in _patterns(graph, free)]
    taken = {node for draft in drafts for node in draft.nodes}
    for node in reversed(tuple(graph)):
        if node.op_type in GEMMS and node not in taken and node.outputs[0] not in free and _is_gemm(node):
            draft = _Gemm(node, shapes, taken, free, fusion).draft()
            drafts.append(draft)
            taken.update(draft.nodes)
    drafts.extend(_sums(graph, taken, free, fusion))
    taken.update(node for draft in drafts for node in draft.nodes)
    drafts.extend(_single(node) for node in graph if node not in taken and _is_group(node, free))
    return tuple(sorted(drafts, key=lambda draft: max(order[node] for node in draft.nodes)))


def _sums(graph: ir.Graph, taken: Collection[ir.Node], free: Collection[ir.Value], fusion: Fusion) -> Iterator[Draft]:
    """Adds of two activations, with the Relu or Clip behind each that the runtime joins to it."""
    for node in graph:
        if node.op_type != "Add" or node in taken or not all(is_activation(value) for value in node.inputs):
            continue
        behind = only_reader(node.outputs[0])
        if behind is None or behind in taken or behind.op_type not in fusion.after_sum or _has_computed_bounds(behind):
            continue
        if not _is_group(node, free) or not _is_single_precision((node, behind)):
            continue
        draft = _single(node)
        draft.nodes.append(behind)
        draft.outputs = [behind.outputs[0]]
        yield draft


def _has_computed_bounds(node: ir.Node) -> bool:
    return any(value is not None and value.const_value is None for value in node.inputs[1:])


def _patterns(graph: ir.Graph, free: Collection[ir.Value]) -> list[Pattern]:
    found: list[Pattern] = []
    taken: set[ir.Node] = set()
    for match in (match_layer_norm, match_rms_norm, match_softmax, match_unary):
        for node in graph:
            pattern = match(node) if node not in taken else None
            if pattern is None or pattern.output in free or not _is_single_precision(pattern.nodes):
                continue
            if taken.isdisjoint(pattern.nodes):
                found.append(pattern)
                taken.update(pattern.nodes)
    return found


def _from_pattern(pattern: Pattern) -> Draft:
    kind = CLASSES[pattern.op_type]
    return Draft(
        anchor=pattern.nodes[-1],
        op_type=pattern.op_type,
        op_class=kind,
        nodes=[pattern.nodes[-1], *pattern.nodes[:-1]],
        work=[pattern.nodes[-1]],
        inputs=[(node, i, SlotKind.ACTIVATION) for node, i in pattern.inputs],
        constants=[(node, i, ConstantKind.OPERAND, None) for node, i in pattern.constants],
        outputs=[pattern.output],
    )


def _is_single_precision(nodes: Collection[ir.Node]) -> bool:
    """Whether all real values the nodes read and write are float32; only those can be quantized here."""
    values = [value for node in nodes for value in (*node.inputs, *node.outputs) if value is not None and value.name]
    return all(value.dtype is ir.DataType.FLOAT for value in values if is_float(value))


def _is_gemm(node: ir.Node) -> bool:
    return (is_activation(node.inputs[0]) or is_activation(node.inputs[1])) and _is_single_precision((node,))


class _Gemm:
    """One gemm and what it takes in; lives only inside ``find_groups``."""

    def __init__(
        self,
        node: ir.Node,
        shapes: Shapes,
        taken: Collection[ir.Node],
        free: Collection[ir.Value],
        fusion: Fusion,
    ) -> None:
        self._fusion = fusion
        self._node = node
        self._shapes = shapes
        self._taken = taken
        self._free = free
        self._draft = Draft(node, node.op_type, OpClass.GEMM, [node], [node])
        self._value = node.outputs[0]

    def draft(self) -> Draft:
        """The group with everything that follows and fits."""
        self._read_inputs()
        self._take_bias()
        self._take_sum()
        self._take_activation()
        self._draft.outputs = [self._value]
        return self._draft

    def _read_inputs(self) -> None:
        node, draft = self._node, self._draft
        if is_activation(node.inputs[0]) and is_activation(node.inputs[1]):
            draft.inputs += [(node, 0, SlotKind.ACTIVATION), (node, 1, SlotKind.SECOND)]
        else:
            const, active = (1, 0) if is_activation(node.inputs[0]) else (0, 1)
            draft.inputs.append((node, active, SlotKind.ACTIVATION))
            draft.constants.append((node, const, ConstantKind.WEIGHT, _channel_axis(node, const)))
        if len(node.inputs) > 2 and is_activation(node.inputs[2]):
            draft.inputs.append((node, 2, SlotKind.SUM_IN))

    def _next(self, *op_types: str) -> ir.Node | None:
        node = only_reader(self._value)
        return node if node is not None and node.op_type in op_types and node not in self._taken else None

    def _append(self, node: ir.Node) -> None:
        self._draft.nodes.append(node)
        self._value = node.outputs[0]

    def _take_bias(self) -> None:
        node = self._next("Add")
        has_bias = len(self._node.inputs) > 2 and self._node.inputs[2] is not None
        if node is None or has_bias or not self._is_per_channel(node.inputs[_other(node, self._value)]):
            return
        self._append(node)

    def _is_per_channel(self, constant: ir.Value | None) -> bool:
        """Whether the constant adds one number per output channel."""
        shape = self._shapes.get(self._node.outputs[0].name or "", ())
        if constant is None or constant.const_value is None or not shape:
            return False
        sizes = tuple(constant.const_value.shape.numpy())
        padded = (1,) * (len(shape) - len(sizes)) + sizes
        if self._node.op_type in ("Conv", "ConvTranspose"):
            channel = 1
        else:  # rows are the channels of a constant on the left
            channel = len(shape) - (1 if is_activation(self._node.inputs[0]) else 2)
        return len(padded) == len(shape) and all(
            size == 1 or (i == channel and size == shape[i]) for i, size in enumerate(padded)
        )

    def _take_sum(self) -> None:
        node = self._next("Add") if self._node.op_type in self._fusion.sum_into else None
        if node is None or any(kind is SlotKind.SUM_IN for _, _, kind in self._draft.inputs):
            return
        index = _other(node, self._value)
        other = node.inputs[index]
        if other is None or other is self._value or not is_activation(other) or other in self._free:
            return
        if self._shapes.get(other.name or "") != self._shapes.get(self._value.name or ""):
            return
        self._draft.inputs.append((node, index, SlotKind.SUM_IN))
        self._draft.work.append(node)
        self._append(node)

    def _take_activation(self) -> None:
        node = self._next(*self._fusion.after_gemm)
        if node is None or _has_computed_bounds(node):
            return
        self._draft.work.append(node)
        self._append(node)


def _channel_axis(node: ir.Node, const: int) -> int | None:
    """Axis of the output channels in the constant input ``const`` of a gemm; None where one scale serves all.

    Scales per row of a constant on the left do not go with a bias per column, so a Gemm with both has one scale.
    """
    value = node.inputs[const]
    rank = 0 if value is None or value.const_value is None else len(value.const_value.shape)
    if node.op_type in ("Conv", "ConvTranspose"):
        return None if const == 0 else int(node.op_type == "ConvTranspose")
    if node.op_type == "Gemm":
        if const == 1:
            return 1 - attribute_int(node, "transB", 0)
        has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
        return None if has_bias else attribute_int(node, "transA", 0)
    if rank < 2:
        return None
    return rank - 1 if const == 1 else rank - 2


def _other(node: ir.Node, value: ir.Value) -> int:
    """Index of the operand of a binary node that is not ``value``."""
    return 1 if node.inputs[0] is value else 0


def _is_group(node: ir.Node, free: Collection[ir.Value]) -> bool:
    """Whether a node outside patterns and gemms is a group: it reads an activation and does more than move it."""
    if is_shape_reader(node) or all(value in free for value in node.outputs):
        return False
    reads = any(is_activation(value) for value in node.inputs) or bool(captured(node))
    if not reads:
        return class_of(node) is OpClass.EMBEDDING and any(is_float(v) for v in node.outputs)
    return not passes_through(node)


def _single(node: ir.Node) -> Draft:
    op_class = _single_class(node)
    draft = Draft(node, node.op_type, op_class, [node], [node])
    draft.outputs = [v for v in node.outputs if v.name and is_float(v) and (v.uses() or v.is_graph_output())]
    for i, value in enumerate(node.inputs):
        if is_activation(value):
            draft.inputs.append((node, i, _slot_kind(node, i)))
        elif _is_operand(node, i, op_class):
            draft.constants.append((node, i, *_constant_kind(op_class)))
    return draft


def _single_class(node: ir.Node) -> OpClass:
    """Class of a group of one node; FLOAT where the node is used in a way the class does not cover.

    1. Real values of another type than float32, or no real result: FLOAT.
    2. A parameter that is computed (bounds of a Clip, scales of a Resize, weights of an LSTM): FLOAT.
    3. A gemm that was not found to be one: FLOAT.
    """
    op_class = class_of(node)
    data = _DATA_INPUTS.get(node.op_type)
    computed = [i for i, value in enumerate(node.inputs) if is_activation(value)]
    if op_class is OpClass.GEMM or not any(is_float(value) for value in node.outputs):
        return OpClass.FLOAT
    if not _is_single_precision((node,)) or (data is not None and not data.issuperset(computed)):
        return OpClass.FLOAT
    return OpClass.FLOAT if _holds_mask(node) or _is_free_power(node) else op_class


def _is_free_power(node: ir.Node) -> bool:
    """Whether a Pow has another exponent than one number: no function of one activation."""
    return node.op_type == "Pow" and scalar(node.inputs[1]) is None


def _holds_mask(node: ir.Node) -> bool:
    """Whether a Where fills in numbers that stand for "nothing": they would set the range of what is kept."""
    if node.op_type != "Where":
        return False
    arrays = [value.const_value.numpy() for value in node.inputs[1:] if value is not None and value.const_value]
    return any(bool((np.abs(array) >= _MASK).any()) for array in arrays)


def _slot_kind(node: ir.Node, index: int) -> SlotKind:
    if node.op_type == "GridSample":
        return SlotKind.FEATURE if index == 0 else SlotKind.GRID
    return SlotKind.STATE if node.op_type in ("LSTM", "GRU") and index > 0 else SlotKind.ACTIVATION


_DATA_INPUTS = {
    "Clip": frozenset({0}),
    "Pow": frozenset({0}),
    "InstanceNormalization": frozenset({0}),
    "GroupNormalization": frozenset({0}),
    "CumSum": frozenset({0}),
    "Resize": frozenset({0}),
    "Pad": frozenset({0}),
    "LSTM": frozenset({0, 5, 6}),
    "GRU": frozenset({0, 5}),
}
"""Inputs that hold data, for operators whose other real inputs are parameters."""
_OPERANDS: dict[OpClass, frozenset[int] | None] = {
    OpClass.ELEMENTWISE: None,
    OpClass.MOVEMENT: None,
    OpClass.RECURRENT: frozenset({1, 2}),
    OpClass.EMBEDDING: frozenset({0}),
    OpClass.WARP: frozenset({0, 1}),
}
"""Inputs whose constants are points, by class; None for all of them."""
_OPERANDS_BY_TYPE = {
    "PRelu": frozenset({1}),
    "LayerNormalization": frozenset({1, 2}),
    "InstanceNormalization": frozenset({1, 2}),
    "GroupNormalization": frozenset({1, 2}),
    "RMSNormalization": frozenset({1}),
    "SimplifiedLayerNormalization": frozenset({1}),
    "Pad": frozenset[int](),
}


def _is_operand(node: ir.Node, index: int, op_class: OpClass) -> bool:
    value = node.inputs[index]
    if op_class is OpClass.FLOAT or value is None or value.const_value is None:
        return False
    if not is_float(value) or value.const_value.size <= 1:
        return False
    allowed = _OPERANDS_BY_TYPE.get(node.op_type, _OPERANDS.get(op_class, frozenset()))
    return allowed is None or index in allowed


def _constant_kind(op_class: OpClass) -> tuple[ConstantKind, int | None]:
    return (ConstantKind.WEIGHT, 1) if op_class is OpClass.RECURRENT else (ConstantKind.OPERAND, None)
