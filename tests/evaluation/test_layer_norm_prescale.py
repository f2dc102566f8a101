"""The factor docs/numerics.md states for LayerNormalization in fp16: with it, inner values in binary16 stay finite."""

from __future__ import annotations

import numpy as np
import pytest

from search.quant.fp16 import LARGEST_FP16, round_fp16

EPSILON = 1e-5


def in_half(x, exponent):
    """LayerNormalization of binary16 rows whose every inner value is rounded to binary16; means sum in float32."""
    small = round_fp16(x * np.float32(2.0**-exponent))
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = round_fp16(small - round_fp16(small.mean(axis=-1, keepdims=True)))
        square = round_fp16(deviation * deviation)
        variance = round_fp16(square.mean(axis=-1, keepdims=True) + np.float32(EPSILON * 4.0**-exponent))
        return round_fp16(deviation / round_fp16(np.sqrt(variance)))


def exponent_of(x):
    """``k`` of the page: the largest deviation becomes 128 at most."""
    largest = np.abs(x - x.mean(axis=-1, keepdims=True)).max()
    return max(0, int(np.ceil(np.log2(largest / 128))))


def in_float(x):
    wide = x.astype(np.float64)
    deviation = wide - wide.mean(axis=-1, keepdims=True)
    return deviation / np.sqrt((deviation**2).mean(axis=-1, keepdims=True) + EPSILON)


@pytest.mark.parametrize("size", [1.0, 300.0, 5e3, 6e4])
@pytest.mark.parametrize("outlier", [1.0, 30.0])
def test_the_stated_factor_keeps_binary16_finite_and_close_to_float(size, outlier):
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (16, 256)).astype(np.float32)
    x[:, 7] *= outlier
    x = round_fp16(x / np.abs(x).max() * size)
    scaled = in_half(x, exponent_of(x))
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaled, in_float(x), atol=2e-2, rtol=1e-2)


def test_without_it_the_squares_overflow():
    x = round_fp16(np.random.default_rng(4).normal(0, 1e3, (4, 64)).astype(np.float32))
    assert (x * x).max() > LARGEST_FP16
    assert not np.allclose(np.nan_to_num(in_half(x, 0)), in_float(x), atol=0.1)
