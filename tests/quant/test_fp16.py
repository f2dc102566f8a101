"""binary16 against the struct module of Python, which rounds on its own."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.quant.fp16 import LARGEST_FP16, round_fp16

FP16_OVERFLOW = 65520.0  # halfway to the next power of two: the smallest magnitude that rounds to infinity


@given(value=st.floats(width=32, allow_nan=False))
def test_rounding_equals_the_ieee_format(value: float) -> None:
    got = float(round_fp16(np.array([value], np.float32))[0])
    if abs(value) >= FP16_OVERFLOW:
        assert got == np.copysign(np.inf, value)
    else:
        assert got == struct.unpack("<e", struct.pack("<e", value))[0]


def test_overflow_starts_halfway_to_the_next_power_of_two() -> None:
    below = np.nextafter(np.float32(FP16_OVERFLOW), np.float32(0))
    x = np.array([below, FP16_OVERFLOW, -FP16_OVERFLOW, np.inf, np.nan, 1.0], np.float32)
    rounded = round_fp16(x)
    assert rounded[0] == LARGEST_FP16
    assert np.isinf(rounded[1:4]).all()
    assert np.isnan(rounded[4])
    assert rounded.dtype == np.float32
