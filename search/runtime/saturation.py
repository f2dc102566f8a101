"""A probe of the processor: whether the runtime's uint8 x int8 products saturate when two of them are added.

Kernels for AVX2 and AVX512 without VNNI add pairs of products in 16 bits, with saturation. The probe asks the installed
runtime rather than a list of processors. See docs/numerics.md#reduced-range.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from search.arrays import Array
from search.runtime.session import Level, Session

_N_PRODUCTS = 64  # several registers wide, so that no scalar kernel answers


@lru_cache(maxsize=1)
def saturates_pairs() -> bool:
    """Whether ``sum(255 * 127)`` over 64 products comes out wrong from this runtime on this processor."""
    exact = 255 * 127 * _N_PRODUCTS
    return bool(np.any(_product(255, 127) != exact))


def _product(left: int, right: int) -> Array:
    """Every row of ``[16, 64]`` times every column of constants ``[64, 16]``: ``MatMulInteger``, int32 ``[16, 16]``."""
    weights = numpy_helper.from_array(np.full((_N_PRODUCTS, 16), right, np.int8), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [16, _N_PRODUCTS])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [16, 16])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = Session(model, level=Level.DEPLOYED)
    return session.run({"x": np.full((16, _N_PRODUCTS), left, np.uint8)})["y"]
