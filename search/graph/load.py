"""Read a user's ONNX file: within the limits, whole, with finite weights, and nothing changed in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto

from search.errors import InvalidModelError, UnsupportedModelError
from search.graph.element_types import check_element_types
from search.graph.external import embed_external_data, read_plain_file
from search.graph.limits import Limits, check_limits, opset_of
from search.graph.naming import number_repeated_names
from search.graph.notes import Note
from search.graph.single_precision import bring_to_float32, holds_float64
from search.graph.spelling import hide_runtime_operators, normalise_spelling
from search.graph.tensors import check_not_nan, check_present
from search.graph.walk import bodies, node_name, tensors
from search.graph.weights import split_weights
from search.graph.wire import scan_model

#: Operators that may read an infinity: it masks, bounds or pads there. Anything else would spread NaN.
_TAKES_INFINITY = frozenset(
    {"Add", "Cast", "Clip", "Concat", "Equal", "Expand", "Gather", "Greater", "GreaterOrEqual", "Identity", "IsInf"}
    | {"Less", "LessOrEqual", "Max", "Min", "Pad", "Reshape", "ScatterElements", "ScatterND", "Slice", "Squeeze"}
    | {"Tile", "Transpose", "Trilu", "Unsqueeze", "Where"}
)
_NO_INPUT_TYPES = frozenset({TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128})


@dataclass(frozen=True, slots=True)
class ValueInfo:
    """A model input or output.

    Attributes:
        name: As in the file.
        dtype: NumPy name of the element type, e.g. ``"float32"``.
        shape: Sizes, None where the model leaves one open; None where it does not even say how many there are.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class InputInfo:
    """A model input: its rank is known. ``dtype`` and ``shape`` as in ``ValueInfo``."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class UserModel:
    """The model as the user gave it.

    Attributes:
        proto: With external data read in, in one spelling (``spelling``), and repeated node names numbered (the runtime
            refuses them), in float32; else untouched.
        original: It before float64 was rounded to float32; None where there was none.
        opset: Version of the default operator set.
        digest: SHA-256 of the file and, after it, of all external data in model order.
        inputs: In file order, without initializers.
        outputs: In file order.
        notes: Findings.
    """

    proto: onnx.ModelProto
    original: onnx.ModelProto | None
    opset: int
    digest: str
    inputs: tuple[InputInfo, ...]
    outputs: tuple[ValueInfo, ...]
    notes: tuple[Note, ...]


def read_model(path: Path | str, *, limits: Limits | None = None) -> UserModel:
    """Read and check the model at ``path``.

    Raises:
        UsageError: If the file cannot be opened.
        InvalidModelError: If it is not ONNX, truncated, exceeds a limit, lacks data or holds NaN.
        UnsupportedModelError: If it uses an opset, operator or type that cannot be evaluated.
    """
    limits = limits or Limits()
    path = Path(path)
    data = read_plain_file(path, limits.model_bytes)
    scan_model(
        data, where=f"Model {path}", max_nodes=limits.n_nodes, max_fields=limits.n_fields, max_depth=limits.depth
    )
    try:
        proto = onnx.ModelProto.FromString(data)
    except DecodeError as error:
        raise InvalidModelError(f"Model {path} is not an ONNX model, or it is truncated ({error}).") from error
    digest = hashlib.sha256(data)
    del data
    if not proto.HasField("graph") or not proto.graph.output:
        raise InvalidModelError(f"Model {path} is not an ONNX model: it has no graph with outputs.")
    return _checked(proto, digest, path.parent, limits)


def _checked(proto: onnx.ModelProto, digest: hashlib._Hash, folder: Path, limits: Limits) -> UserModel:
    normalise_spelling(proto)
    notes = check_limits(proto, limits)
    check_element_types(proto)
    for data in embed_external_data(proto, folder):
        digest.update(data)
    notes += _check_data(proto)
    original = onnx.ModelProto() if holds_float64(proto) else None
    if original is not None:
        original.CopyFrom(proto)
    notes += bring_to_float32(proto)
    inputs = _inputs(proto, limits)
    outputs = tuple(_value_info(value) for value in proto.graph.output)
    _check_schema(proto)
    for body in bodies(proto):
        number_repeated_names(body.graph.node)
    return UserModel(
        proto=proto,
        original=original,
        opset=opset_of(proto),
        digest=digest.hexdigest(),
        inputs=inputs,
        outputs=outputs,
        notes=notes,
    )


def _inputs(proto: onnx.ModelProto, limits: Limits) -> tuple[InputInfo, ...]:
    initializers = {tensor.name for tensor in proto.graph.initializer}
    found = []
    for value in proto.graph.input:
        if value.name in initializers:
            continue
        info = _value_info(value)
        if value.type.tensor_type.elem_type in _NO_INPUT_TYPES:
            raise UnsupportedModelError(f"Input {info.name!r} is of type {info.dtype}; only numbers can be quantized.")
        if info.shape is None:
            raise UnsupportedModelError(
                f"Input {info.name!r} has no shape. Export the model with one; open sizes may have names."
            )
        elements = 1
        for size in info.shape:
            elements *= 1 if size is None else size
        if not 0 < elements <= limits.created_elements:
            raise InvalidModelError(
                f"Input {info.name!r} has shape {list(info.shape)}, which is {elements} elements; "
                f"1 to {limits.created_elements} are possible."
            )
        found.append(InputInfo(info.name, info.dtype, info.shape))
    if not found:
        raise InvalidModelError("The model has no inputs, so there is nothing to calibrate.")
    return tuple(found)


def _value_info(value: onnx.ValueInfoProto) -> ValueInfo:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise UnsupportedModelError(
            f"{value.name!r} is a {kind or 'value without type'}; only tensors can be evaluated."
        )
    tensor = value.type.tensor_type
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
    except KeyError as error:
        raise InvalidModelError(f"{value.name!r} has no valid element type ({tensor.elem_type}).") from error
    if tensor.elem_type == TensorProto.STRING:
        dtype = "string"
    if not tensor.HasField("shape"):
        return ValueInfo(value.name, dtype, None)
    # some exporters write -1 for an open size
    return ValueInfo(
        value.name,
        dtype,
        tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else None for d in tensor.shape.dim),
    )


def _check_data(proto: onnx.ModelProto) -> tuple[Note, ...]:
    """Check that all tensors are complete and free of NaN, and that infinities only reach what can take them."""
    infinite = []
    for where, tensor in tensors(proto):
        check_present(tensor, where)
        if not check_not_nan(tensor, where):
            infinite.append((where, tensor.name))
    if not infinite:
        return ()
    readers: dict[str, list[onnx.NodeProto]] = {}
    for body in bodies(proto):
        for node in body.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
    for where, name in infinite:
        for node in readers.get(name, []):
            if node.op_type not in _TAKES_INFINITY:
                raise InvalidModelError(
                    f"{where} holds infinite values and is read by {node.op_type} {node_name(node)!r}. "
                    "Weights must be finite; check the training run."
                )
    names = ", ".join(where for where, _ in infinite[:5])
    return (Note("infinite-constants", f"Infinite values, taken as masks or bounds: {names}."),)


def _check_schema(proto: onnx.ModelProto) -> None:
    """Let the onnx checker look at attributes, names that are written twice, and the order of nodes."""
    light = split_weights(proto).light
    for value in light.graph.output:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()  # exporters leave it out, and the runtime does not mind
    hide_runtime_operators(light, opset_of(light))
    try:
        onnx.checker.check_model(light.SerializeToString())
    except onnx.checker.ValidationError as error:
        reason = " ".join(str(error).split())[:400]
        raise InvalidModelError(f"The model is not valid ONNX: {reason}") from error
