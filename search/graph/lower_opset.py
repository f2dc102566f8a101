"""A model at the lowest opset that holds it: what older tools read.

Models are worked on at opset 21 (see ``opset``), whose converter does not go down. Nearly every operator is spelled
as it was years before, so a node is rewritten only where its spelling changed between the two versions, and a version
in which it cannot be said is none for the whole model. Source of the differences: the operator schemas of the onnx
package, and its change log for meanings that changed under the same spelling (``_CHANGED``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper

from search.graph.limits import opset_of
from search.graph.walk import Body, bodies
from search.graph.weights import join_weights, split_weights

LOWEST = 13
"""Per-channel QuantizeLinear and DequantizeLinear begin here."""

_STANDARD = ("", "ai.onnx")
_LINEAR_NAMES = {b"linear": b"bilinear", b"cubic": b"bicubic"}  # GridSample before opset 20


class _CannotBeSaidError(Exception):
    """A node that the version has no words for."""


def lowest_opset(model: onnx.ModelProto, *, lowest: int = LOWEST) -> onnx.ModelProto:
    """Return ``model`` at the lowest opset from ``lowest`` on that says the same; itself where none below does.

    Args:
        model: Every constant an initializer; not changed.
        lowest: Where to begin.
    """
    parts = split_weights(model)  # a model is copied once per opset that is tried
    for opset in range(lowest, opset_of(model)):
        found = _at_opset(parts.light, opset)
        if found is not None:
            whole = join_weights(found, parts.weights)
            whole.ir_version = found.ir_version
            return whole
    return model


def at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto | None:
    """Return ``model`` at ``opset``; itself where that is not below its own, None where a node cannot be said there."""
    if opset >= opset_of(model):
        return model
    return lowest_opset(model, lowest=opset) if _says(model, opset) else None


def _says(model: onnx.ModelProto, opset: int) -> bool:
    return _at_opset(split_weights(model).light, opset) is not None


def _at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto | None:
    """Return ``model`` at ``opset``, which is below its own; None where a node cannot be said there."""
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    try:
        for body in list(bodies(lowered)):
            constants = _Constants(body)
            for node in body.graph.node:
                if node.domain in _STANDARD:
                    _rewrite(node, opset_of(model), opset, constants)
            _drop_unread(body.graph, constants)
    except _CannotBeSaidError:
        return None
    for entry in lowered.opset_import:
        if entry.domain in _STANDARD:
            entry.version = opset
    lowered.ir_version = min(model.ir_version, helper.find_min_ir_version_for(list(lowered.opset_import), True))
    return lowered


class _Constants:
    """Initializers of one graph, and which of them became attributes."""

    def __init__(self, body: Body) -> None:
        self._tensors: Mapping[str, TensorProto] = {tensor.name: tensor for tensor in body.initializers}
        self._kinds = {name: tensor.data_type for name, tensor in self._tensors.items()}
        if isinstance(body.graph, onnx.GraphProto):
            self._kinds |= {value.name: value.type.tensor_type.elem_type for value in body.graph.input}
        self.moved: set[str] = set()

    def whole_numbers(self, name: str) -> list[int]:
        if name not in self._tensors:
            raise _CannotBeSaidError
        self.moved.add(name)
        return [int(value) for value in np.atleast_1d(numpy_helper.to_array(self._tensors[name]))]

    def kind(self, name: str) -> int | None:
        return self._kinds.get(name)


def _rewrite(node: onnx.NodeProto, current: int, opset: int, constants: _Constants) -> None:
    new, old = _schema(node.op_type, current), _schema(node.op_type, opset)
    if new is None or old is None:
        raise _CannotBeSaidError
    if new.since_version == old.since_version:
        return
    _CHANGED.get(node.op_type, _as_it_is)(node, opset)
    if "axes" in old.attributes and "axes" not in new.attributes:
        _axes_as_attribute(node, constants)
    _drop_attributes(node, new, old)
    if len([name for name in node.input if name]) > len(old.inputs) and not _is_variadic(old):
        raise _CannotBeSaidError
    for position, name in enumerate(node.input):
        kind = constants.kind(name)
        if kind and not _takes(old, position, kind):
            raise _CannotBeSaidError


def _axes_as_attribute(node: onnx.NodeProto, constants: _Constants) -> None:
    """Reductions before opset 18 take their axes as an attribute; none of them means all."""
    if len(node.input) > 1 and node.input[1]:
        node.attribute.append(helper.make_attribute("axes", constants.whole_numbers(node.input[1])))
    elif _value(node, "noop_with_empty_axes", 0):
        raise _CannotBeSaidError
    del node.input[1:]
    _remove(node, "noop_with_empty_axes")


def _drop_attributes(node: onnx.NodeProto, new: defs.OpSchema, old: defs.OpSchema) -> None:
    """Leave out attributes the old version does not know; what they state must be what it does anyway."""
    for attribute in list(node.attribute):
        if attribute.name in old.attributes:
            continue
        default = new.attributes[attribute.name].default_value
        if helper.get_attribute_value(attribute) != helper.get_attribute_value(default):
            raise _CannotBeSaidError
        node.attribute.remove(attribute)


def _as_it_is(node: onnx.NodeProto, opset: int) -> None:
    del node, opset


def _grid_sample(node: onnx.NodeProto, opset: int) -> None:
    del opset
    mode = next((one for one in node.attribute if one.name == "mode"), None)
    if mode is None:
        node.attribute.append(helper.make_attribute("mode", "bilinear"))
    else:
        mode.s = _LINEAR_NAMES.get(mode.s, mode.s)


def _average_pool(node: onnx.NodeProto, opset: int) -> None:
    if opset < 19 and _value(node, "ceil_mode", 0):
        raise _CannotBeSaidError  # what a window beyond the edge is divided by was settled at 19


def _resize(node: onnx.NodeProto, opset: int) -> None:
    if opset < 19 and _value(node, "coordinate_transformation_mode", b"half_pixel") == b"half_pixel_symmetric":
        raise _CannotBeSaidError


def _split(node: onnx.NodeProto, opset: int) -> None:
    if opset < 18 and len(node.input) > 1 and node.input[1]:
        _remove(node, "num_outputs")


def _scatter(node: onnx.NodeProto, opset: int) -> None:
    if opset < 18 and _value(node, "reduction", b"none") in (b"max", b"min"):
        raise _CannotBeSaidError


def _pad(node: onnx.NodeProto, opset: int) -> None:
    if opset < 19 and _value(node, "mode", b"constant") == b"wrap":
        raise _CannotBeSaidError


def _roi_align(node: onnx.NodeProto, opset: int) -> None:
    if opset < 16:
        if _value(node, "coordinate_transformation_mode", b"half_pixel") != b"output_half_pixel":
            raise _CannotBeSaidError
        _remove(node, "coordinate_transformation_mode")


_CHANGED: Mapping[str, Callable[[onnx.NodeProto, int], None]] = {
    "AveragePool": _average_pool,
    "GridSample": _grid_sample,
    "Pad": _pad,
    "Resize": _resize,
    "RoiAlign": _roi_align,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
    "Split": _split,
}
"""Operators that mean something else, or are spelled otherwise, though both versions take what is written."""


def _drop_unread(graph: onnx.GraphProto | onnx.FunctionProto, constants: _Constants) -> None:
    """Remove initializers that became attributes and that nothing reads any more."""
    if not constants.moved or isinstance(graph, onnx.FunctionProto):
        return
    read = {name for node in _nested(graph) for name in node.input} | {value.name for value in graph.output}
    for tensor in [one for one in graph.initializer if one.name in constants.moved - read]:
        graph.initializer.remove(tensor)


def _nested(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
                yield from _nested(inner)


def _value(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(one) for one in node.attribute if one.name == name), default)


def _remove(node: onnx.NodeProto, name: str) -> None:
    for attribute in [one for one in node.attribute if one.name == name]:
        node.attribute.remove(attribute)


def _is_variadic(schema: defs.OpSchema) -> bool:
    return bool(schema.inputs) and schema.inputs[-1].option == defs.OpSchema.FormalParameterOption.Variadic


def _takes(schema: defs.OpSchema, position: int, kind: int) -> bool:
    formal = schema.inputs[min(position, len(schema.inputs) - 1)]
    allowed = next(
        (one.allowed_type_strs for one in schema.type_constraints if one.type_param_str == formal.type_str), []
    )
    name = helper.tensor_dtype_to_string(kind).removeprefix("TensorProto.").lower()
    return not allowed or f"tensor({name})" in allowed


@cache
def _schema(op_type: str, opset: int) -> defs.OpSchema | None:
    try:
        return defs.get_schema(op_type, opset, "")
    except defs.SchemaError:
        return None
