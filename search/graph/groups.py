"""Groups: which nodes share one decision, as the chip fuses them.

1. Recognised patterns (LayerNormalization, softmax, GELU, ...) are one group each.
2. Conv, ConvTranspose, Gemm and MatMul take in what follows while the value between has a single reader and is no
   graph output: an Add of a per-channel constant (bias), one Add of an equally shaped activation, one Relu or Clip,
   in this order. Where both inputs of such an Add come from gemms, the later one takes it.
3. Every other operator that reads an activation or writes one is a group of its own.
4. Nodes that only move values belong to no group, nor do those that compute shapes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from search.graph.network import ConstantKind, OpClass, SlotKind
from search.graph.operators import attribute_int, class_of, is_float, passes_through
from search.graph.patterns.layer_norm import match_layer_norm
from search.graph.patterns.match import Pattern, only_reader
from search.graph.patterns.softmax import match_softmax
from search.graph.patterns.unary import match_unary

_GEMMS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_SHAPE_READERS = frozenset({"Shape", "Size"})
_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
Shapes = Mapping[str, tuple[int, ...]]


@dataclass
class Draft:
    """A group while it is being found: ONNX nodes and places instead of indices."""

    anchor: ir.Node
    op_type: str
    op_class: OpClass
    nodes: list[ir.Node]
    inputs: list[tuple[ir.Node, int, SlotKind]] = field(default_factory=list)
    constants: list[tuple[ir.Node, int, ConstantKind, int | None]] = field(default_factory=list)
    outputs: list[ir.Value] = field(default_factory=list)


def find_groups(graph: ir.Graph, shapes: Shapes) -> tuple[Draft, ...]:
    """Return all groups of ``graph`` in the order of their last node.

    Args:
        graph: Normal form: constants are initializers, every node is named.
        shapes: Shape of every value as traced with one sample.
    """
    order = {node: i for i, node in enumerate(graph)}
    drafts = [_from_pattern(pattern) for pattern in _patterns(graph)]
    taken = {node for draft in drafts for node in draft.nodes}
    for node in sorted(
        (n for n in graph if n.op_type in _GEMMS and n not in taken), key=order.__getitem__, reverse=True
    ):
        draft = _gemm(node, shapes, taken)
        if draft is not None:
            drafts.append(draft)
            taken.update(draft.nodes)
    free = data_free_values(graph)
    drafts.extend(_single(node) for node in graph if node not in taken and _is_group(node, free))
    return tuple(sorted(drafts, key=lambda draft: max(order[node] for node in draft.nodes)))


def is_activation(value: ir.Value | None) -> bool:
    """Whether the value is a real-valued result of running the network, not a constant."""
    return value is not None and value.const_value is None and is_float(value)


def data_free_values(graph: ir.Graph) -> set[ir.Value]:
    """Values that depend on constants and on shapes only, never on the data."""
    free: set[ir.Value] = set()
    for node in graph:
        known = all(v is None or v.const_value is not None or v in free for v in node.inputs) and not captured(node)
        if node.op_type in _SHAPE_READERS or (known and node.op_type not in _RANDOM):
            free.update(node.outputs)
    return free


def captured(node: ir.Node) -> tuple[ir.Value, ...]:
    """Activations of the outer graph that the subgraphs of ``node`` read."""
    found: dict[ir.Value, None] = {}
    for attr in node.attributes.values():
        for sub in _subgraphs(attr):
            inside = {v for n in sub.all_nodes() for v in n.outputs} | set(sub.inputs) | set(sub.initializers.values())
            reads: Iterable[ir.Value | None] = [v for n in sub.all_nodes() for v in n.inputs] + list(sub.outputs)
            found.update(dict.fromkeys(v for v in reads if v is not None and v not in inside and is_activation(v)))
    return tuple(found)


def _subgraphs(attr: ir.Attr) -> tuple[ir.Graph, ...]:
    if attr.type is ir.AttributeType.GRAPH:
        return (attr.as_graph(),)
    return tuple(attr.as_graphs()) if attr.type is ir.AttributeType.GRAPHS else ()


def _patterns(graph: ir.Graph) -> list[Pattern]:
    found: list[Pattern] = []
    taken: set[ir.Node] = set()
    for match in (match_layer_norm, match_softmax, match_unary):
        for node in graph:
            pattern = match(node) if node not in taken else None
            if pattern is not None and taken.isdisjoint(pattern.nodes):
                found.append(pattern)
                taken.update(pattern.nodes)
    return found


def _from_pattern(pattern: Pattern) -> Draft:
    kind = OpClass.NORM if pattern.op_type in ("LayerNormalization", "Softmax") else OpClass.LUT
    return Draft(
        anchor=pattern.nodes[-1],
        op_type=pattern.op_type,
        op_class=kind,
        nodes=[pattern.nodes[-1], *pattern.nodes[:-1]],
        inputs=[(node, i, SlotKind.ACTIVATION) for node, i in pattern.inputs],
        constants=[(node, i, ConstantKind.OPERAND, None) for node, i in pattern.constants],
        outputs=[pattern.output],
    )


def _gemm(node: ir.Node, shapes: Shapes, taken: set[ir.Node]) -> Draft | None:
    data, weight = node.inputs[0], node.inputs[1]
    if data is None or weight is None or not (is_activation(data) or is_activation(weight)):
        return None
    draft = Draft(anchor=node, op_type=node.op_type, op_class=OpClass.GEMM, nodes=[node])
    if is_activation(data) and is_activation(weight):
        draft.inputs += [(node, 0, SlotKind.ACTIVATION), (node, 1, SlotKind.SECOND)]
    else:
        const, active = (1, 0) if is_activation(data) else (0, 1)
        draft.inputs.append((node, active, SlotKind.ACTIVATION))
        draft.constants.append((node, const, ConstantKind.WEIGHT, _channel_axis(node, const)))
    if len(node.inputs) > 2 and is_activation(node.inputs[2]):
        draft.inputs.append((node, 2, SlotKind.SUM_IN))
    value = _take_bias(draft, node.outputs[0], shapes, taken)
    value = _take_sum(draft, value, shapes, taken)
    value = _take_activation(draft, value, taken)
    draft.outputs = [value]
    return draft


def _channel_axis(node: ir.Node, const: int) -> int | None:
    """Axis of the output channels in the constant input ``const`` of a gemm."""
    value = node.inputs[const]
    rank = 0 if value is None or value.const_value is None else len(value.const_value.shape)
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Gemm":
        transposed = attribute_int(node, "transB" if const == 1 else "transA", 0)
        return 1 - transposed if const == 1 else transposed
    if rank < 2:
        return None
    return rank - 1 if const == 1 else rank - 2


def _next(value: ir.Value, op_types: frozenset[str], taken: set[ir.Node]) -> ir.Node | None:
    node = only_reader(value)
    return node if node is not None and node.op_type in op_types and node not in taken else None


def _other(node: ir.Node, value: ir.Value) -> tuple[int, ir.Value | None]:
    index = 1 if node.inputs[0] is value else 0
    return index, node.inputs[index]


def _take_bias(draft: Draft, value: ir.Value, shapes: Shapes, taken: set[ir.Node]) -> ir.Value:
    node = _next(value, frozenset({"Add"}), taken)
    if node is None or (len(draft.anchor.inputs) > 2 and draft.anchor.inputs[2] is not None):
        return value
    _, other = _other(node, value)
    if other is None or other.const_value is None or not _is_per_channel(draft.anchor, other, shapes):
        return value
    draft.nodes.append(node)
    return node.outputs[0]


def _is_per_channel(anchor: ir.Node, constant: ir.Value, shapes: Shapes) -> bool:
    """Whether the constant adds one number per output channel."""
    shape = shapes.get(anchor.outputs[0].name or "", ())
    if constant.const_value is None or not shape:
        return False
    sizes = tuple(constant.const_value.shape.numpy())
    padded = (1,) * (len(shape) - len(sizes)) + sizes
    channel = 1 if anchor.op_type in ("Conv", "ConvTranspose") else len(shape) - 1
    return len(padded) == len(shape) and all(
        size == 1 or (i == channel and size == shape[i]) for i, size in enumerate(padded)
    )


def _take_sum(draft: Draft, value: ir.Value, shapes: Shapes, taken: set[ir.Node]) -> ir.Value:
    node = _next(value, frozenset({"Add"}), taken)
    if node is None or any(kind is SlotKind.SUM_IN for _, _, kind in draft.inputs):
        return value
    index, other = _other(node, value)
    same = other is not None and other is not value and shapes.get(other.name or "") == shapes.get(value.name or "")
    if not same or not is_activation(other):
        return value
    draft.nodes.append(node)
    draft.inputs.append((node, index, SlotKind.SUM_IN))
    return node.outputs[0]


def _take_activation(draft: Draft, value: ir.Value, taken: set[ir.Node]) -> ir.Value:
    node = _next(value, frozenset({"Relu", "Clip"}), taken)
    if node is None or any(v is not None and v.const_value is None for v in node.inputs[1:]):
        return value
    draft.nodes.append(node)
    return node.outputs[0]


def _is_group(node: ir.Node, free: Collection[ir.Value]) -> bool:
    """Whether a node outside patterns and gemms is a group: it reads an activation and does more than move it."""
    if node.op_type in _SHAPE_READERS or all(value in free for value in node.outputs):
        return False
    reads = any(is_activation(value) for value in node.inputs) or bool(captured(node))
    if not reads:
        return class_of(node) is OpClass.EMBEDDING and any(is_float(v) for v in node.outputs)
    return not passes_through(node)


def _single(node: ir.Node) -> Draft:
    op_class = class_of(node)
    if op_class is OpClass.GEMM:
        op_class = OpClass.FLOAT
    draft = Draft(anchor=node, op_type=node.op_type, op_class=op_class, nodes=[node])
    draft.outputs = [value for value in node.outputs if value.name and is_float(value)]
    for i, value in enumerate(node.inputs):
        if is_activation(value):
            draft.inputs.append((node, i, _slot_kind(node, i)))
        elif value is not None and value.const_value is not None and _is_operand(node, i, op_class):
            draft.constants.append((node, i, *_constant_kind(op_class)))
    if op_class is OpClass.ELEMENTWISE and not any(is_float(value) for value in node.outputs):
        draft.op_class = OpClass.FLOAT
    return draft


def _slot_kind(node: ir.Node, index: int) -> SlotKind:
    if node.op_type == "GridSample":
        return SlotKind.FEATURE if index == 0 else SlotKind.GRID
    return SlotKind.ACTIVATION


_OPERANDS: dict[OpClass, frozenset[int] | None] = {
    OpClass.ELEMENTWISE: None,
    OpClass.MOVEMENT: None,
    OpClass.RECURRENT: frozenset({1, 2}),
    OpClass.EMBEDDING: frozenset({0}),
    OpClass.WARP: frozenset({0, 1}),
}
"""Inputs whose constants are points, by class; None for all of them."""
_OPERANDS_BY_TYPE = {"PRelu": frozenset({1}), "LayerNormalization": frozenset({1, 2}), "Pad": frozenset[int]()}


def _is_operand(node: ir.Node, index: int, op_class: OpClass) -> bool:
    value = node.inputs[index]
    if value is None or value.const_value is None or not is_float(value) or value.const_value.size <= 1:
        return False
    allowed = _OPERANDS_BY_TYPE.get(node.op_type, _OPERANDS.get(op_class, frozenset()))
    return allowed is None or index in allowed


def _constant_kind(op_class: OpClass) -> tuple[ConstantKind, int | None]:
    return (ConstantKind.WEIGHT, 1) if op_class is OpClass.RECURRENT else (ConstantKind.OPERAND, None)
