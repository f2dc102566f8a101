"""Which values depend on the data, and which on constants and shapes only.

A Shape is known before any data is seen, unless the shape itself depends on data (behind NonZero, NonMaxSuppression,
a Reshape to a computed size, ...).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import onnx_ir as ir

from search.graph.operators import is_float

_SHAPE_READERS = frozenset({"Shape", "Size"})
_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_COUNTING = frozenset({"NonZero", "NonMaxSuppression", "Unique", "Compress", "StringSplit"})
_COUNTING_BEGINNINGS = ("Sequence", "SplitToSequence", "ConcatFromSequence", "Optional")
_SEQUENCE_WRITERS = frozenset(
    {"SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "SequenceMap", "SplitToSequence"}
    | {"Optional", "OptionalGetElement"}
)
_SHAPED_BY_VALUES = {
    "Range": 0,
    "ConstantOfShape": 0,
    "HannWindow": 0,
    "HammingWindow": 0,
    "BlackmanWindow": 0,
    "MelWeightMatrix": 0,
    "Reshape": 1,
    "Expand": 1,
    "Tile": 1,
    "Slice": 1,
    "Pad": 1,
    "Resize": 1,
    "Upsample": 1,
    "OneHot": 1,
    "TopK": 1,
    "Squeeze": 1,
    "Unsqueeze": 1,
    "Split": 1,
    "CenterCropPad": 1,
    "AffineGrid": 1,
    "Col2Im": 1,
    "DFT": 1,
    "STFT": 1,
    "MaxUnpool": 2,
}
"""Operators to the first of the inputs whose values decide the shape of the result."""


def no_tensors(graph: ir.Graph) -> set[ir.Value]:
    """Values of ``graph`` that are, or may be, sequences or optional values."""
    found: set[ir.Value] = set()
    for node in graph:
        bodies = list(bodies_of(node))
        inside = any(inner.op_type in _SEQUENCE_WRITERS for body in bodies for inner in body)
        handed_on = (node.op_type == "Identity" or bodies) and any(value in found for value in node.inputs)
        if node.op_type in _SEQUENCE_WRITERS or inside or handed_on:
            found.update(node.outputs)
    return found


def is_shape_reader(node: ir.Node) -> bool:
    """Whether the node reads the shape of its input, not its values."""
    return node.op_type in _SHAPE_READERS


def is_activation(value: ir.Value | None) -> bool:
    """Whether the value is a real-valued result of running the network, not a constant.

    A model input of another type than float32 that is brought to it at once is none: its float32 form is.
    """
    return value is not None and value.const_value is None and is_float(value) and not is_cast_at_once(value)


def is_cast_at_once(value: ir.Value) -> bool:
    """Whether the value is a real model input of another type than float32 that only Casts to float32 read."""
    if not value.is_graph_input() or value.dtype is ir.DataType.FLOAT or value.is_graph_output():
        return False
    readers = [use.node for use in value.uses()]
    return bool(readers) and all(
        node.op_type == "Cast" and node.attributes["to"].as_int() == ir.DataType.FLOAT for node in readers
    )


def own_bodies(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield every graph in the attributes of ``node``."""
    for attr in node.attributes.values():
        if attr.type is ir.AttributeType.GRAPH:
            yield attr.as_graph()
        elif attr.type is ir.AttributeType.GRAPHS:
            yield from attr.as_graphs()


def bodies_of(node: ir.Node) -> Iterator[ir.Graph]:
    """Yield every graph in the attributes of ``node``, and those inside them."""
    for graph in own_bodies(node):
        yield graph
        for inner in graph:
            yield from bodies_of(inner)


def captured_values(node: ir.Node) -> tuple[ir.Value, ...]:
    """Values of the graph of ``node`` that its subgraphs read by name."""
    found: dict[ir.Value, None] = {}
    for body in bodies_of(node):
        reads = [value for inner in body for value in inner.inputs] + list(body.outputs)
        found.update(dict.fromkeys(value for value in reads if value is not None and value.graph is node.graph))
    return tuple(found)


def captured(node: ir.Node) -> tuple[ir.Value, ...]:
    """Activations of the graph of ``node`` that its subgraphs read by name."""
    return tuple(value for value in captured_values(node) if is_activation(value))


def data_free_values(graph: ir.Graph, given: Collection[str] = ()) -> set[ir.Value]:
    """Values that depend on constants, on shapes and on the model inputs ``given`` only, never on the data."""
    free: set[ir.Value] = {value for value in graph.inputs if value.name in given}
    varying: set[ir.Value] = set()
    for node in graph:
        reads = [value for value in (*node.inputs, *captured_values(node)) if value is not None]
        if is_shape_reader(node):
            known = all(value not in varying for value in reads)
        else:
            known = node.op_type not in _RANDOM and all(_is_known(value, free) for value in reads)
        if known:
            free.update(node.outputs)
        elif _shape_varies(node, reads, free, varying):
            varying.update(node.outputs)
    return free


def _is_known(value: ir.Value | None, free: Collection[ir.Value]) -> bool:
    return value is None or value.const_value is not None or value in free


def _shape_varies(
    node: ir.Node, reads: list[ir.Value], free: Collection[ir.Value], varying: Collection[ir.Value]
) -> bool:
    """Whether the shape of what ``node`` writes may depend on data; rather yes than no."""
    if node.op_type in _COUNTING or node.op_type.startswith(_COUNTING_BEGINNINGS) or any(True for _ in bodies_of(node)):
        return True
    if any(value in varying for value in reads):
        return True
    first = 1 if node.op_type.startswith("Reduce") else _SHAPED_BY_VALUES.get(node.op_type)
    return first is not None and not all(_is_known(value, free) for value in node.inputs[first:])
