"""Verdicts at the limit are those of exact fractions."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InvalidDataError
from search.metrics.goal_check import meets, required_value, shortfall


@given(
    n=st.integers(1, 200_000),
    places=st.integers(1, 4),
    digits=st.integers(0, 9999),
    data=st.data(),
)
def test_a_rate_at_the_limit_is_judged_as_exact_fractions(n, places, digits, data):
    drop = Fraction(digits, 10**4).limit_denominator(10**places)
    float_right = data.draw(st.integers(0, n))
    needed = max(0, math.ceil(float_right - drop * n))  # fewest right samples that meet the goal
    required = required_value("max_drop", float(drop), float_right / n, "higher")
    exact = Fraction(float_right, n) - drop
    for right in {needed - 1, needed, needed + 1} & set(range(n + 1)):
        assert meets(right / n, required, "higher") == (Fraction(right, n) >= exact)


def test_743_of_1000_less_one_point_is_733_of_1000():
    required = required_value("max_drop", 0.01, 743 / 1000, "higher")
    assert required == 0.733
    assert meets(733 / 1000, required, "higher")
    assert not meets(732 / 1000, required, "higher")


def test_every_kind_of_limit():
    assert required_value("max_drop", 0.25, 0.75, "higher") == 0.5
    assert required_value("max_increase", 0.002, 0.029, "lower") == 0.031
    assert required_value("min_ratio", 0.99, 0.5, "higher") == 0.495
    assert required_value("min_ratio", 0.5, 0.03, "lower") == 0.06
    assert required_value("min_value", 0.7, None, "higher") == 0.7
    assert required_value("max_value", 0.7, 0.1, "lower") == 0.7


def test_a_requirement_that_cancels_is_zero_and_not_noise():
    assert required_value("max_drop", 0.3, 0.1 + 0.2, "higher") == 0.0
    assert meets(0.0, required_value("max_drop", 0.3, 0.1 + 0.2, "higher"), "higher")


def test_small_errors_are_told_apart():
    assert meets(1.0e-14, 1.0e-14, "lower")
    assert not meets(1.1e-14, 1.0e-14, "lower")


def test_an_undefined_value_meets_nothing():
    assert not meets(None, 0.0, "higher")
    assert shortfall(None, 0.0, "higher") is None


def test_the_shortfall_is_zero_where_the_goal_is_met():
    assert shortfall(0.73, 0.733, "higher") == pytest.approx(0.003)
    assert shortfall(0.74, 0.733, "higher") == 0.0
    assert shortfall(0.05, 0.04, "lower") == pytest.approx(0.01)
    assert shortfall(0.733 - 1e-16, 0.733, "higher") == 0.0


def test_a_relative_limit_needs_a_float_value_that_has_a_ratio():
    with pytest.raises(InvalidDataError, match="max_drop relates to the float model's value"):
        required_value("max_drop", 0.01, None, "higher")
    with pytest.raises(InvalidDataError, match=r"negative float value -0.5; use min_value"):
        required_value("min_ratio", 0.9, -0.5, "higher")
