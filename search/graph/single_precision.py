"""Bring float16 and float64 models to float32 at the door; inputs and outputs keep their types.

float32 holds every float16 value, so nothing is lost: the network computes what the weights say, without the roundings
of float16 between operators. float64 weights are rounded once; that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search.errors import InvalidModelError
from search.graph.notes import Note
from search.graph.walk import bodies, subgraphs

_NAMES: dict[int, str] = {TensorProto.FLOAT16: "float16", TensorProto.DOUBLE: "float64"}
_TYPE_ATTRIBUTES = frozenset({"to", "dtype"})
_MAX_BYTES = 2**31 - 1  # of a protobuf


def bring_to_float32(model: onnx.ModelProto) -> tuple[Note, ...]:
    """Turn float16 and float64 into float32, in place.

    1. Tensors, Casts and declared types in all graphs become float32; float16 exactly, float64 rounded to nearest.
    2. An input of these types gets a Cast behind it, an output one before it: ``<name>/float32`` is the value inside.
    3. float64 stays where a value of it is beyond float32, or where an operator of ai.onnx.ml reads it.

    Args:
        model: With all its data; normal spelling.

    Returns:
        What was done; nothing if the model holds neither type.

    Raises:
        InvalidModelError: If the model would pass the size of a protobuf.
    """
    kinds = _kinds_to_convert(model)
    if not kinds:
        return ()
    _check_size(model, kinds)
    kept = {value.name for value in (*model.graph.input, *model.graph.output)}
    kept -= {tensor.name for tensor in model.graph.initializer}
    for body in bodies(model):
        for tensor in body.initializers:
            _convert(tensor, kinds)
        for node in body.graph.node:
            _convert_attributes(node, kinds)
        if isinstance(body.graph, onnx.GraphProto):
            _convert_values(body.graph, kinds, kept if body.graph is model.graph else set())
    _cast_ends(model.graph, kinds)
    return tuple(_note(kind) for kind in sorted(kinds))


def holds_float64(model: onnx.ModelProto) -> bool:
    """Whether ``bring_to_float32`` would round float64."""
    return TensorProto.DOUBLE in _kinds_to_convert(model)


def _kinds_to_convert(model: onnx.ModelProto) -> set[int]:
    kinds = {kind for kind in _kinds(model) if kind in _NAMES}
    return kinds - {TensorProto.DOUBLE} if TensorProto.DOUBLE in kinds and not _fits(model) else kinds


def _note(kind: int) -> Note:
    ends = "Inputs and outputs keep their types."
    if kind == TensorProto.FLOAT16:
        text = f"The model computes in float16; it was brought to float32, which holds every value of it. {ends}"
        return Note("float16-model", text)
    text = f"The model computes in float64; it was brought to float32, weights rounded to nearest. {ends}"
    return Note("float64-model", text)


def _kinds(model: onnx.ModelProto) -> Iterator[int]:
    """Every element type that is stored, declared or cast to."""
    for body in bodies(model):
        yield from (tensor.data_type for tensor in body.initializers)
        if isinstance(body.graph, onnx.GraphProto):
            values = (*body.graph.input, *body.graph.output, *body.graph.value_info)
            yield from (value.type.tensor_type.elem_type for value in values)
        for node in body.graph.node:
            for attribute in node.attribute:
                yield from (tensor.data_type for tensor in _tensors(attribute))
                if attribute.name in _TYPE_ATTRIBUTES:
                    yield attribute.i


def _tensors(attribute: onnx.AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors


def _fits(model: onnx.ModelProto) -> bool:
    """Whether every float64 constant is inside float32, and no operator asks for float64 itself."""
    for body in bodies(model):
        if any(node.domain == "ai.onnx.ml" for node in body.graph.node):
            return False
        tensors = [*body.initializers, *(t for node in body.graph.node for a in node.attribute for t in _tensors(a))]
        for tensor in tensors:
            if tensor.data_type == TensorProto.DOUBLE and not _is_inside(numpy_helper.to_array(tensor)):
                return False
    return True


def _is_inside(array: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    finite = np.abs(array[np.isfinite(array)])
    return not finite.size or float(finite.max()) <= float(np.finfo(np.float32).max)


def _check_size(model: onnx.ModelProto, kinds: set[int]) -> None:
    halves = [t for body in bodies(model) for t in body.initializers if t.data_type == TensorProto.FLOAT16]
    more = sum(tensor.ByteSize() for tensor in halves) if TensorProto.FLOAT16 in kinds else 0
    if model.ByteSize() + more > _MAX_BYTES:
        raise InvalidModelError(
            f"The float16 model takes {model.ByteSize() + more} bytes in float32; the limit is {_MAX_BYTES}. "
            "Cut the network, or search a smaller variant of it."
        )


def _convert(tensor: TensorProto, kinds: set[int]) -> None:
    if tensor.data_type in kinds:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))


def _convert_attributes(node: onnx.NodeProto, kinds: set[int]) -> None:
    for attribute in node.attribute:
        for tensor in _tensors(attribute):
            _convert(tensor, kinds)
        if attribute.name in _TYPE_ATTRIBUTES and attribute.i in kinds:
            attribute.i = TensorProto.FLOAT


def _convert_values(graph: onnx.GraphProto, kinds: set[int], kept: set[str]) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.name not in kept and value.type.tensor_type.elem_type in kinds:
            value.type.tensor_type.elem_type = TensorProto.FLOAT


def _cast_ends(graph: onnx.GraphProto, kinds: set[int]) -> None:
    """Put Casts behind the inputs and before the outputs of these types."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = {v.name for v in graph.input if v.name not in constants and v.type.tensor_type.elem_type in kinds}
    outputs = {v.name: v.type.tensor_type.elem_type for v in graph.output if v.type.tensor_type.elem_type in kinds}
    written = {name for node in graph.node for name in node.output} | constants
    inside = {name: f"{name}/float32" for name in (*inputs, *(name for name in outputs if name in written))}
    if not inside:
        return
    for node in graph.node:
        _rename(node, inside)
    for tensor in graph.initializer:
        tensor.name = inside.get(tensor.name, tensor.name)
    for value in graph.value_info:
        value.name = inside.get(value.name, value.name)
    nodes = [_cast(name, inside[name], TensorProto.FLOAT) for name in sorted(inputs)]
    nodes += [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    nodes += [_cast(inside[name], name, kind) for name, kind in outputs.items() if name in written]
    del graph.node[:]
    graph.node.extend(nodes)


def _cast(source: str, result: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [result], name=f"{result}/Cast", to=kind)


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Rename values a node reads and writes, inside its subgraphs too (ONNX allows no name to be hidden there)."""
    look_up: Callable[[str], str] = lambda name: names.get(name, name)  # noqa: E731
    node.input[:] = [look_up(name) for name in node.input]
    node.output[:] = [look_up(name) for name in node.output]
    for _, graph in subgraphs(node):
        for inner in graph.node:
            _rename(inner, names)
        for value in graph.output:
            value.name = look_up(value.name)
