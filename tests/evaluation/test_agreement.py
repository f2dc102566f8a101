"""Sums of one tensor, float against quantized: exact fractions and plain loops are the oracle."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evaluation.agreement import MOST_DB, N_BINS, Agreement, Rounding, bin_ends, binned, ratio_db
from search.quant.grid import Grid

VALUES = st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=40)
INT8 = Grid(scale=0.5, zero_point=0, bits=8, signed=True)


def compared(x, y, rounding=None, *, cut=None):
    agreement = Agreement(Rounding() if rounding is None else rounding)
    x, y = np.array(x, np.float32), np.array(y, np.float32)
    for part in (slice(0, cut), slice(cut, None)) if cut else (slice(None),):
        agreement.update(x[part], y[part])
    return agreement.to_json()


@given(x=VALUES, noise=st.floats(-3, 3, width=32), cut=st.integers(1, 39))
def test_ratio_and_cosine_are_those_of_exact_sums_however_runs_are_cut(x, noise, cut):
    x = np.array(x, np.float32)
    y = x + np.float32(noise) * np.sin(np.arange(len(x), dtype=np.float32))
    found = compared(x, y, cut=cut if cut < len(x) else None)
    exact = [(Fraction(float(a)), Fraction(float(b))) for a, b in zip(x, y, strict=True)]
    xx, yy = sum(a * a for a, _ in exact), sum(b * b for _, b in exact)
    ee, xy = sum((b - a) ** 2 for a, b in exact), sum(a * b for a, b in exact)
    if ee == 0:
        assert found["sqnr_db"] == MOST_DB
    elif xx == 0:
        assert found["sqnr_db"] is None
        assert found["reason"] == "every float value is zero"
    elif float(xx) > 0 and float(ee) > 0:
        assert found["sqnr_db"] == pytest.approx(min(MOST_DB, 10 * math.log10(float(xx / ee))), rel=1e-9, abs=1e-9)
        if float(yy) > 1e-200 and float(xx) > 1e-200:
            expected = float(xy) / math.sqrt(float(xx)) / math.sqrt(float(yy))
            assert found["cosine"] == pytest.approx(expected, abs=1e-9)
    assert found["float"] == [float(x.min()), float(x.max())]
    assert found["quantized"] == [float(y.min()), float(y.max())]


def test_rounding_alone_and_the_clipped_share_are_those_of_the_grid():
    x = [0.2, 0.3, -64.0, -64.5, 63.5, 63.6, 90.0, 0.0]
    found = compared(x, x, Rounding(grid=INT8))
    rounded = [max(-128, min(127, round(value * 2))) / 2 for value in map(float, np.array(x, np.float32))]
    signal = sum(float(value) ** 2 for value in np.array(x, np.float32))
    noise = sum((a - float(b)) ** 2 for a, b in zip(rounded, np.array(x, np.float32), strict=True))
    assert found["rounding_db"] == pytest.approx(10 * math.log10(signal / noise), rel=1e-9)
    assert found["clipped_share"] == 3 / 8  # beyond -64 and 63.5
    assert found["sqnr_db"] == MOST_DB


def test_a_tensor_in_binary16_clips_where_it_overflows_and_a_prescale_moves_that():
    x = [1.0, 70000.0]
    assert compared(x, x, Rounding(halves=True))["clipped_share"] == 0.5
    assert compared(x, x, Rounding(halves=True))["rounding_db"] is None  # an infinite error
    moved = compared(x, x, Rounding(halves=True, prescale=3))
    assert moved["clipped_share"] == 0.0
    assert moved["rounding_db"] > 60


def test_a_float_tensor_is_not_rounded_and_clips_nothing():
    found = compared([1.0, 2.0], [1.0, 2.1])
    assert (found["rounding_db"], found["clipped_share"]) == (None, None)


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        ([1.0, 2.0], [1.0, math.inf], "1 of 2 quantized values are not finite"),
        ([1.0, math.nan], [1.0, 2.0], "1 of 2 float values are not finite"),
        ([0.0, 0.0], [0.0, 1.0], "every float value is zero"),
        ([], [], "the tensor has no values"),
    ],
)
def test_no_ratio_has_a_reason_and_json_has_neither_nan_nor_infinity(x, y, reason):
    found = compared(x, y, Rounding(grid=INT8))
    assert (found["sqnr_db"], found["cosine"], found["reason"]) == (None, None, reason)
    json.dumps(found, allow_nan=False)


def test_two_zero_tensors_are_equal():
    found = compared([0.0], [0.0])
    assert (found["sqnr_db"], found["cosine"], found["reason"]) == (MOST_DB, 1.0, None)


def test_ratio_is_capped():
    assert ratio_db(1.0, 1e-30) == MOST_DB
    assert ratio_db(100.0, 1.0) == 20.0


@given(x=st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=60))
def test_bins_hold_what_a_loop_finds_in_them(x):
    values = np.array(x, np.float32)
    low, high = bin_ends(float(values.min()), float(values.max()))
    counts = binned(values, (low, high))
    assert counts.sum() == len(x)
    edges = np.linspace(low, high, N_BINS + 1)
    for k in range(N_BINS):
        last = k == N_BINS - 1
        inside = sum(edges[k] <= v < edges[k + 1] or (last and v == high) for v in map(float, values))
        assert counts[k] == inside


def test_a_constant_tensor_has_bins_of_some_width():
    assert bin_ends(2.0, 2.0) == (1.5, 2.5)
    assert binned(np.full(5, 2.0), (1.5, 2.5)).sum() == 5
