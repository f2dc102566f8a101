"""Count what a serialized ONNX model holds before it is parsed.

A model of 2 GiB of empty nodes takes tens of GiB once parsed, so nodes and fields are counted on the bytes first:
linear time, no memory. Fields are those of ``onnx.proto``: Model.graph 7, Model.functions 25, Graph.node 1, ...
"""

from __future__ import annotations

from dataclasses import dataclass

from search.errors import InvalidModelError

_MODEL, _GRAPH, _FUNCTION, _NODE, _ATTRIBUTE = "model", "graph", "function", "node", "attribute"
_CHILDREN: dict[str, dict[int, str]] = {
    _MODEL: {7: _GRAPH, 25: _FUNCTION},
    _GRAPH: {1: _NODE},
    _FUNCTION: {7: _NODE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {6: _GRAPH, 11: _GRAPH},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}
_TRUNCATED = "{where} is not an ONNX model, or it is truncated: the bytes end inside a field. Copy or export it again."


@dataclass(frozen=True, slots=True)
class WireCounts:
    """How much a serialized model holds."""

    n_nodes: int
    n_fields: int
    depth: int


def scan_model(data: bytes, *, where: str, max_nodes: int, max_fields: int, max_depth: int) -> WireCounts:
    """Count nodes, fields and nested graphs of a serialized ``ModelProto``.

    Args:
        data: The whole file.
        where: Name of the file, for messages.
        max_nodes: Most nodes in all graphs, subgraphs and functions together.
        max_fields: Most fields in all messages that are looked into.
        max_depth: Most graphs inside each other.

    Raises:
        InvalidModelError: If the bytes are no protobuf message or exceed a limit.
    """
    n_nodes = n_fields = deepest = 0
    stack = [(0, len(data), _MODEL, 0)]
    while stack:
        position, end, kind, depth = stack.pop()
        deepest = max(deepest, depth)
        if deepest > max_depth:
            raise InvalidModelError(f"{where} nests more than {max_depth} graphs inside each other.")
        children = _CHILDREN[kind]
        while position < end:
            n_fields += 1
            if n_fields > max_fields:
                raise InvalidModelError(f"{where} has more than {max_fields} fields, which is the limit.")
            field, start, position = _next_field(data, position, end, where)
            child = children.get(field)
            if child is not None and start >= 0:
                n_nodes += child == _NODE
                if n_nodes > max_nodes:
                    raise InvalidModelError(f"{where} has more than {max_nodes} nodes, which is the limit.")
                stack.append((start, position, child, depth + (child == _GRAPH)))
    return WireCounts(n_nodes, n_fields, deepest)


def _next_field(data: bytes, position: int, end: int, where: str) -> tuple[int, int, int]:
    """Return the field number, where its bytes start (-1: it has none) and where the next field starts."""
    tag, position = _varint(data, position, end, where)
    kind = tag & 7
    start = -1
    if kind == _BYTES:
        size, start = _varint(data, position, end, where)
        position = start + size
    elif kind == _VARINT:
        _, position = _varint(data, position, end, where)
    elif kind in _FIXED_BYTES:
        position += _FIXED_BYTES[kind]
    else:
        raise InvalidModelError(f"{where} is not an ONNX model: byte {position} starts no protobuf field.")
    if position > end:
        raise InvalidModelError(_TRUNCATED.format(where=where))
    return tag >> 3, start, position


def _varint(data: bytes, position: int, end: int, where: str) -> tuple[int, int]:
    """Read one base-128 number of at most ten bytes; return it with the position after it."""
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise InvalidModelError(_TRUNCATED.format(where=where))
