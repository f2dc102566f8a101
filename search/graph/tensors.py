"""Does a tensor of the model hold as many bytes as its shape declares, and are they finite?

``bytes = ceil(prod(dims) * bits / 8)``, in Python integers so that hostile dims cannot overflow.
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from search.errors import InvalidModelError, UnsupportedModelError

_BITS: dict[int, int] = {
    TensorProto.FLOAT: 32,
    TensorProto.UINT8: 8,
    TensorProto.INT8: 8,
    TensorProto.UINT16: 16,
    TensorProto.INT16: 16,
    TensorProto.INT32: 32,
    TensorProto.INT64: 64,
    TensorProto.BOOL: 8,
    TensorProto.FLOAT16: 16,
    TensorProto.DOUBLE: 64,
    TensorProto.UINT32: 32,
    TensorProto.UINT64: 64,
    TensorProto.COMPLEX64: 64,
    TensorProto.COMPLEX128: 128,
    TensorProto.BFLOAT16: 16,
    TensorProto.FLOAT8E4M3FN: 8,
    TensorProto.FLOAT8E4M3FNUZ: 8,
    TensorProto.FLOAT8E5M2: 8,
    TensorProto.FLOAT8E5M2FNUZ: 8,
    TensorProto.UINT4: 4,
    TensorProto.INT4: 4,
    TensorProto.FLOAT4E2M1: 4,
}
_FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16})
MAX_RANK = 64


def n_elements(tensor: onnx.TensorProto, where: str) -> int:
    """Return the number of values that the shape declares.

    Raises:
        InvalidModelError: If a dimension is negative, or there are more than ``MAX_RANK``.
    """
    if len(tensor.dims) > MAX_RANK:
        raise InvalidModelError(f"{where} has {len(tensor.dims)} dimensions; at most {MAX_RANK} are possible.")
    if any(size < 0 for size in tensor.dims):
        raise InvalidModelError(f"{where} has the negative dimensions {list(tensor.dims)}. Export the model again.")
    return prod(tensor.dims)


def declared_bytes(tensor: onnx.TensorProto, where: str) -> int:
    """Return the bytes that shape and type declare; 0 for strings.

    Raises:
        InvalidModelError: If the dimensions are invalid.
        UnsupportedModelError: If the data type is unknown.
    """
    elements = n_elements(tensor, where)
    if tensor.data_type == TensorProto.STRING:
        return 0
    bits = _BITS.get(tensor.data_type)
    if bits is None:
        raise UnsupportedModelError(f"{where} has the unknown data type {tensor.data_type}. Export it as float32.")
    return -(-elements * bits // 8)


def check_present(tensor: onnx.TensorProto, where: str) -> None:
    """Check that the data is all there.

    Raises:
        InvalidModelError: If more or fewer values are present than declared.
    """
    declared = declared_bytes(tensor, where)
    if tensor.HasField("raw_data"):
        present, unit = len(tensor.raw_data), "bytes"
    else:
        declared, present, unit = *_typed_counts(tensor, declared), "values"
    if present != declared:
        raise InvalidModelError(
            f"{where} declares shape {list(tensor.dims)}, which takes {declared} {unit}, but holds {present}. "
            "The file is damaged; export it again."
        )


def _typed_counts(tensor: onnx.TensorProto, n_bytes: int) -> tuple[int, int]:
    """Return how many entries the typed field must have, and has."""
    elements = prod(tensor.dims)
    kind = tensor.data_type
    if kind == TensorProto.STRING:
        return elements, len(tensor.string_data)
    field = onnx.helper.tensor_dtype_to_field(kind)
    if kind in (TensorProto.COMPLEX64, TensorProto.COMPLEX128):
        elements *= 2
    elif _BITS[kind] < 8:
        elements = n_bytes
    return elements, len(getattr(tensor, field))


def check_not_nan(tensor: onnx.TensorProto, where: str) -> bool:
    """Check for NaN, and return whether all values are finite.

    Raises:
        InvalidModelError: If a value is NaN.
    """
    if tensor.data_type not in _FLOATS:
        return True
    values = numpy_helper.to_array(tensor).astype(np.float64 if tensor.data_type == TensorProto.DOUBLE else np.float32)
    finite = np.isfinite(values)
    if bool(finite.all()):
        return True
    n_nan = int(np.isnan(values).sum())
    if n_nan:
        raise InvalidModelError(
            f"{where} holds {n_nan} NaN among {values.size} values. Weights must be numbers; check the training run."
        )
    return False
