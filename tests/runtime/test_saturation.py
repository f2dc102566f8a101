"""The probe of uint8 x int8 products against arithmetic written out, and against what Q/DQ models come to."""

from __future__ import annotations

import numpy as np
import pytest

from search.runtime import saturation
from search.runtime.session import Level, Session
from tests.builders import model, node


def in_pairs(left: np.ndarray, right: np.ndarray) -> int:
    """Sums of two products held to 16 bits, as AVX2 adds them."""
    products = left.astype(int) * right.astype(int)
    return int(np.clip(products[0::2] + products[1::2], -(2**15), 2**15 - 1).sum())


def test_the_probe_is_exact_or_saturates_in_pairs():
    n = 64
    got = int(saturation._product(255, 127)[0, 0])
    saturated = in_pairs(np.full(n, 255), np.full(n, 127))
    assert got in (255 * 127 * n, saturated)
    assert saturation.saturates_pairs() == (got == saturated)


def test_seven_bits_are_exact_on_every_processor():
    assert int(saturation._product(255, 64)[0, 0]) == 255 * 64 * 64


@pytest.mark.parametrize("largest", [64, 127])
def test_a_quantized_product_is_off_only_where_the_probe_says_so(largest):
    # y = x w with everything at the upper end of its grid: uint8 255 * 1/255, weights 127 (or 64) * 1/127.
    weights = np.full((64, 4), largest, np.int8)
    nodes = [
        node("QuantizeLinear", "x sx zx", "q"),
        node("DequantizeLinear", "q sx zx", "d"),
        node("DequantizeLinear", "w sw zw", "v"),
        node("MatMul", "d v", "m"),
        node("QuantizeLinear", "m sy zx", "qy"),
        node("DequantizeLinear", "qy sy zx", "y"),
    ]
    constants = {
        "sx": np.float32(1 / 255),
        "zx": np.uint8(0),
        "w": weights,
        "sw": np.float32(1 / 127),
        "zw": np.int8(0),
        "sy": np.float32(64 / 255),
    }
    proto = model(nodes, ["x[8,64]"], ["y[8,4]"], constants)
    got = Session(proto, level=Level.DEPLOYED).run({"x": np.ones((8, 64), np.float32)})["y"]
    exact = 64 * largest / 127
    is_off = bool(np.abs(got - exact).max() > 1)
    assert is_off == (largest == 127 and saturation.saturates_pairs())
