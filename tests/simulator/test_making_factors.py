"""Factors a chip has: refusals, clamps, warnings, and how close the rest is."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_step import WIDTHS

from search.simulator.making.factors import preload_rescale, requantizer, result_rescale, sum_factors
from search.simulator.making.infeasible import Infeasible
from search.simulator.rescale import Widths

KNIGHT = Widths(multiplier_bits=15, shift_min=0, shift_max=31)


def value_of(multiplier: int, shift: int) -> Fraction:
    return Fraction(multiplier) / Fraction(2) ** shift


@given(factors=st.lists(st.floats(2.0**-31, 1.0), min_size=1, max_size=5))
def test_every_channel_of_a_gemm_is_as_close_as_the_multiplier_allows(factors: list[float]) -> None:
    made = requantizer(np.array(factors), WIDTHS, node="n")
    assert not made.warnings
    for f, m, q in zip(factors, made.rescale.multiplier.tolist(), made.rescale.shift.tolist(), strict=True):
        assert abs(value_of(m, q) - Fraction(f)) <= Fraction(f) / 2**15
        assert 0 <= q <= 47


def test_a_shift_above_the_range_names_op_q_and_range_as_the_faq_does() -> None:
    with pytest.raises(
        Infeasible, match=r"^OP:conv1 q:33 must range in \[0, 31\] to meet hardware specifications\."
    ) as e:
        requantizer(2.0**-19, KNIGHT, node="conv1")
    assert (e.value.node, e.value.what, e.value.value, e.value.low, e.value.high) == ("conv1", "q", 33, 0, 31)


def test_a_shift_below_the_range_is_infeasible_for_a_gemm() -> None:
    with pytest.raises(Infeasible, match=r"q:-1 must range in \[0, 31\]"):
        requantizer([2.0**15, 2.0**-10], KNIGHT, node="conv1")


def test_the_layers_q_is_that_of_its_largest_factor() -> None:
    made = requantizer([2.0**-10, 2.0**-24], KNIGHT, node="n", largest=2.0**15)
    assert made.rescale.shift.tolist() == [24, 31]
    assert made.rescale.multiplier.tolist() == [2**14, 2**7]
    assert not made.warnings


def test_a_channel_left_with_few_bits_is_a_warning_only_if_it_can_reach_half_a_step() -> None:
    quiet = requantizer([2.0**-10, 2.0**-30], KNIGHT, node="n", largest=[2.0**31, 2.0**28])
    assert not quiet.warnings
    (warned,) = requantizer([2.0**-10, 2.0**-30], KNIGHT, node="n", largest=[2.0**31, 2.0**30]).warnings
    assert (warned.code, warned.node, warned.values["channels"]) == ("multiplier-short", "n", 1)
    assert "shift above 31" in warned.text


@given(factor=st.floats(2.0**-60, 2.0**-32), acc=st.integers(-(2**31), 2**31 - 1))
def test_a_channel_at_the_largest_shift_is_off_by_half_a_step_at_most(factor: float, acc: int) -> None:
    """The multiplier is off by half a unit of 2**-32 or less: times a 32 bit sum that is a quarter of a step."""
    widths = Widths(15, 0, 32)
    made = requantizer([1e-3, factor], widths, node="n").rescale
    got = value_of(int(made.multiplier[1]), int(made.shift[1]))
    assert abs(got - Fraction(factor)) * abs(acc) <= Fraction(1, 2)


def test_a_gemm_of_zeros_alone_is_no_reason_to_refuse() -> None:
    assert requantizer([0.0, 0.0], WIDTHS, node="n").rescale.multiplier.tolist() == [0, 0]


@given(factor=st.floats(2.0**-32, 2.0**14))
def test_other_results_are_as_close_as_the_multiplier_allows(factor: float) -> None:
    made = result_rescale(factor, WIDTHS, node="n")
    got = value_of(int(made.rescale.multiplier), int(made.rescale.shift))
    assert abs(got - Fraction(factor)) <= Fraction(factor) / 2**15
    assert not made.warnings


def test_a_negative_result_shift_is_clamped_and_says_what_it_loses() -> None:
    made = result_rescale(2.0**16, KNIGHT, node="gru_xn")
    assert (int(made.rescale.multiplier), int(made.rescale.shift)) == (2**15 - 1, 0)
    (warned,) = made.warnings
    assert warned.code == "shift-clamped"
    assert warned.text.startswith("OP:gru_xn, q_rst: -2 < 0, q_rst=0 is used: the factor 65536 becomes 32767")
    assert warned.values == {"q_rst": -2, "used": 0, "factor": 65536.0, "got": 32767.0}


def test_tiny_results_fade_to_zero_without_a_warning() -> None:
    made = result_rescale([1e-30, 0.0, 0.5], KNIGHT, node="n")
    assert made.rescale.multiplier.tolist() == [0, 0, 2**14]
    assert not made.warnings


@given(factor=st.floats(2.0**-30, 2.0**30))
def test_a_summed_input_may_shift_left_as_far_as_the_chip_does(factor: float) -> None:
    made = preload_rescale(factor, WIDTHS, left_shift=16, node="n")
    got = value_of(int(made.rescale.multiplier), int(made.rescale.shift))
    assert int(made.rescale.shift) >= -16
    assert abs(got - Fraction(factor)) <= Fraction(factor) / 2**15


def test_a_summed_input_without_a_left_shift_is_clamped() -> None:
    made = preload_rescale([2.0**17, 0.5], KNIGHT, left_shift=0, node="n")
    assert made.rescale.shift.tolist() == [0, 15]
    assert [warned.code for warned in made.warnings] == ["shift-clamped"]


@given(
    factors=st.lists(st.floats(2.0**-20, 2.0**12), min_size=1, max_size=4),
    constant=st.floats(-(2.0**20), 2.0**20),
    bits=st.sampled_from([8, 16]),
    seed=st.integers(0, 99),
)
def test_a_sum_under_one_shift_stays_close_and_fits_the_adder(
    factors: list[float], constant: float, bits: int, seed: int
) -> None:
    reach = [2 ** (bits - 1)] * len(factors)
    made = sum_factors(factors, WIDTHS, node="n", reach=reach, constant=constant)
    x = [int(v) for v in np.random.default_rng(seed).integers(-reach[0], reach[0], len(factors))]
    total = sum(v * m for v, m in zip(x, made.multipliers, strict=True)) + made.constant
    assert abs(total) < 2**47
    assert max(made.multipliers) < 2**15
    real = sum(Fraction(f) * v for f, v in zip(factors, x, strict=True)) + Fraction(constant)
    got = value_of(total, made.shift)
    if abs(real) < 2**17:  # else it saturates, and so must ours
        lead = max(factors)
        assert abs(got - real) <= sum(abs(v) for v in x) * Fraction(lead) / 2**14 + Fraction(1, 1024)
    else:
        assert abs(got) > 2**16
        assert (got > 0) == (real > 0)


def test_a_huge_constant_saturates_instead_of_overflowing() -> None:
    made = sum_factors([1e-6], KNIGHT, node="n", reach=[128], constant=-1e30)
    assert math.ldexp(made.constant, -made.shift) < -(2**17)
    assert abs(made.constant) < 2**47


def test_a_sum_of_large_factors_is_clamped_with_a_warning() -> None:
    made = sum_factors([2.0**16, 1.0], KNIGHT, node="n", reach=[128, 128])
    assert (made.multipliers, made.shift) == ((2**15 - 1, 1), 0)
    assert [warned.code for warned in made.warnings] == ["shift-clamped"]
