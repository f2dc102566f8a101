from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from search.errors import InvalidModelError, UnsupportedModelError
from search.graph.tensors import check_not_nan, check_present, declared_bytes

DTYPES = [
    *(
        "float32",
        "float64",
        "float16",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "bool",
    ),
    *("complex64", ml_dtypes.bfloat16, ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float8_e4m3fn),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 5)])
def test_what_numpy_writes_is_what_is_declared(dtype, shape):
    tensor = numpy_helper.from_array(np.ones(shape).astype(dtype), "t")
    check_present(tensor, "t")
    assert declared_bytes(tensor, "t") == len(tensor.raw_data)


@pytest.mark.parametrize(
    "kind", [TensorProto.FLOAT, TensorProto.INT8, TensorProto.FLOAT16, TensorProto.INT4, TensorProto.DOUBLE]
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_typed_fields_are_counted_as_the_onnx_package_fills_them(kind, count):
    check_present(helper.make_tensor("t", kind, [count], [1] * count), "t")


def test_one_byte_too_many_is_refused():
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "t")
    tensor.raw_data += b"\0"
    with pytest.raises(InvalidModelError, match="takes 12 bytes, but holds 13"):
        check_present(tensor, "Initializer 't'")


def test_an_unknown_type_is_refused():
    with pytest.raises(UnsupportedModelError, match="unknown data type 99"):
        declared_bytes(TensorProto(data_type=99, dims=[1]), "t")


def test_more_dimensions_than_possible_are_refused():
    with pytest.raises(InvalidModelError, match="has 65 dimensions"):
        declared_bytes(TensorProto(data_type=1, dims=[1] * 65), "t")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ml_dtypes.bfloat16])
def test_nan_is_an_error_and_infinity_is_told(dtype):
    assert check_not_nan(numpy_helper.from_array(np.ones(2).astype(dtype)), "t")
    assert not check_not_nan(numpy_helper.from_array(np.array([1, np.inf]).astype(dtype)), "t")
    with pytest.raises(InvalidModelError, match="t holds 1 NaN among 2 values"):
        check_not_nan(numpy_helper.from_array(np.array([1, np.nan]).astype(dtype)), "t")
