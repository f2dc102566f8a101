"""Multipliers and shifts against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.simulator.rescale import Rescale, Rounding, apply, at_shift, normalized, round_shift

ROUNDINGS: tuple[Rounding, ...] = ("half_up", "half_even", "half_away")
FACTORS = st.floats(min_value=2.0**-60, max_value=2.0**20)


def exact(value: Fraction, rounding: Rounding) -> int:
    if rounding == "half_even":
        return round(value)
    if rounding == "half_up":
        return math.floor(value + Fraction(1, 2))
    size = math.floor(abs(value) + Fraction(1, 2))
    return size if value >= 0 else -size


@given(v=st.integers(-(2**61), 2**61), shift=st.integers(0, 62), rounding=st.sampled_from(ROUNDINGS))
def test_a_right_shift_rounds_as_exact_fractions_do(v: int, shift: int, rounding: Rounding) -> None:
    got = round_shift(np.array([v]), shift, rounding)
    assert got[0] == exact(Fraction(v, 2**shift), rounding)


@given(v=st.integers(-100, 100), shift=st.integers(1, 5), rounding=st.sampled_from(ROUNDINGS))
def test_ties_go_where_the_rounding_says(v: int, shift: int, rounding: Rounding) -> None:
    tie = (2 * v + 1) << (shift - 1)
    assert round_shift(np.array(tie), shift, rounding) == exact(Fraction(tie, 2**shift), rounding)


@given(v=st.integers(-(2**31), 2**31), shift=st.integers(-16, -1), rounding=st.sampled_from(ROUNDINGS))
def test_a_negative_shift_is_exact(v: int, shift: int, rounding: Rounding) -> None:
    assert round_shift(np.array(v), shift, rounding) == v << -shift


@given(factor=FACTORS, bits=st.sampled_from([8, 15, 24]))
def test_a_normalized_factor_uses_all_bits_and_is_as_close_as_they_allow(factor: float, bits: int) -> None:
    made = normalized(factor, bits)
    multiplier, shift = int(made.multiplier), int(made.shift)
    assert 1 << (bits - 1) <= multiplier < 1 << bits
    got = Fraction(multiplier) / Fraction(2) ** shift
    assert abs(got - Fraction(factor)) <= Fraction(factor) * Fraction(1, 2**bits)


def test_a_factor_of_zero_is_zero() -> None:
    made = normalized([0.0, 0.5], 15)
    assert made.multiplier.tolist() == [0, 2**14]
    assert made.shift.tolist() == [0, 15]


def test_a_factor_just_below_a_power_of_two_carries_into_the_shift() -> None:
    made = normalized(1 - 2.0**-30, 15)
    assert (int(made.multiplier), int(made.shift)) == (2**14, 14)


@pytest.mark.parametrize("factor", [-1.0, math.inf, math.nan])
def test_a_factor_that_is_no_scale_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative, got"):
        normalized(factor, 15)


@given(factor=FACTORS, shift=st.integers(0, 40))
def test_a_factor_under_a_given_shift_is_the_nearest_one(factor: float, shift: int) -> None:
    assert int(at_shift(factor, shift).multiplier) == round(Fraction(factor) * 2**shift)


@given(
    v=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=6, max_size=6),
    factors=st.lists(st.floats(2.0**-30, 1.0), min_size=3, max_size=3),
    rounding=st.sampled_from(ROUNDINGS),
)
def test_each_channel_has_its_own_factor(v: list[int], factors: list[float], rounding: Rounding) -> None:
    made = normalized(factors, 15)
    acc = np.array(v).reshape(2, 3)
    got = apply(acc, made, rounding, axis=1)
    for (row, channel), value in np.ndenumerate(acc):
        product = Fraction(int(value) * int(made.multiplier[channel]), 2 ** int(made.shift[channel]))
        assert got[row, channel] == exact(product, rounding)


def test_one_factor_serves_any_shape() -> None:
    half = Rescale(np.asarray(1), np.asarray(1))
    assert apply(np.array([[3, -3]]), half, "half_up").tolist() == [[2, -1]]
