"""Distances against exact arithmetic over Python numbers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InvalidDataError
from search.metrics.registry import make_metric

NUMBERS = st.floats(-1e4, 1e4, width=32)
SAMPLES = st.integers(1, 4).flatmap(
    lambda d: st.lists(
        st.tuples(st.lists(NUMBERS, min_size=d, max_size=d), st.lists(NUMBERS, min_size=d, max_size=d)),
        min_size=1,
        max_size=6,
    )
)


def value(name, outputs, reference, **options):
    metric = make_metric(name, **options)
    return metric.value([metric.measure(outputs, reference, reference)])


def exact_errors(samples):
    return [[Fraction(a) - Fraction(b) for a, b in zip(x, y, strict=True)] for x, y in samples]


@given(SAMPLES)
def test_equals_exact_arithmetic(samples):
    outputs, reference = np.float32([x for x, _ in samples]), np.float32([y for _, y in samples])
    errors = exact_errors(samples)
    n, d = outputs.shape
    mean = sum(abs(e) for row in errors for e in row) / (n * d)
    square = sum(e * e for row in errors for e in row)
    largest = max(abs(e) for row in errors for e in row)
    assert value("l1", outputs, reference) == pytest.approx(float(mean), rel=1e-6, abs=1e-40)
    assert value("mae", outputs, reference) == pytest.approx(float(mean), rel=1e-6, abs=1e-40)
    assert value("rmse", outputs, reference) == pytest.approx(math.sqrt(square / (n * d)), rel=1e-6, abs=1e-40)
    assert value("atol", outputs, reference) == pytest.approx(float(largest), rel=1e-6, abs=1e-40)


@given(SAMPLES)
def test_sqnr_is_taken_over_all_samples_together(samples):
    outputs, reference = np.float32([x for x, _ in samples]), np.float32([y for _, y in samples])
    noise = sum(e * e for row in exact_errors(samples) for e in row)
    signal = sum(Fraction(b) ** 2 for _, y in samples for b in y)
    got = value("sqnr_db", outputs, reference)
    if noise == 0:
        assert got == 200
    elif signal == 0:
        assert got is None
    else:
        exact = 10 * (math.log10(signal) - math.log10(noise))
        assert got == pytest.approx(min(200, exact), abs=1e-4)


def test_cosine_is_the_mean_over_samples():
    outputs = np.float32([[[1, 0]], [[1, 1]], [[-2, 0]]])
    reference = np.float32([[[5, 0]], [[1, 0]], [[1, 0]]])
    assert value("cosine", outputs, reference) == pytest.approx((1 + math.sqrt(0.5) - 1) / 3, rel=1e-6)


def test_cosine_of_zero_vectors():
    zero, one = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)
    assert value("cosine", zero, zero) == 1.0
    assert value("cosine", zero, one) == 0.0
    assert value("cosine", one, zero) == 0.0


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_equal_outputs_have_cosine_exactly_one_at_any_scale(scale):
    x = (np.random.default_rng(0).standard_normal((50, 17)) * scale).astype(np.float32)
    assert value("cosine", x, x) == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["cosine", "sqnr_db", "mae", "rmse", "l1", "atol"])
def test_non_finite_outputs_give_no_value_but_a_reason(name, bad):
    metric = make_metric(name)
    outputs, reference = np.float32([[1, 2], [bad, 0]]), np.ones((2, 2), np.float32)
    result = metric.result([metric.measure(outputs, reference, reference)])
    assert (result.value, result.reason) == (None, "non-finite outputs")


def test_errors_beyond_float32_give_no_infinite_value():
    outputs = np.full((1, 2), 3e38, np.float32)
    assert value("l1", outputs, -outputs) is None
    assert value("rmse", outputs, np.zeros_like(outputs)) == pytest.approx(3e38)


def test_sqnr_is_capped_at_200():
    assert value("sqnr_db", np.ones((1, 2)), np.ones((1, 2))) == 200.0
    assert value("sqnr_db", np.float64([[1 + 1e-12]]), np.float64([[1.0]])) == 200.0


def test_sqnr_of_a_zero_signal_has_a_reason():
    metric = make_metric("sqnr_db")
    result = metric.result([metric.measure(np.ones((1, 2)), np.zeros((1, 2)), None)])
    assert result.value is None
    assert "float outputs are all zero" in result.reason


@pytest.mark.parametrize("p", [1, 50, 99.5, 100])
def test_atol_is_a_percentile_over_samples_linear_between_them(p):
    errors = np.random.default_rng(1).permutation(11).astype(np.float32)
    place = 10 * p / 100
    below = math.floor(place)
    expected = below + (place - below)  # the sorted errors are 0, 1, 2, ...
    assert value("atol", errors[:, None], np.zeros((11, 1)), percentile=p) == pytest.approx(expected)


def test_labels_may_lack_axes_of_length_one():
    assert value("mae", np.float32([[1], [2]]), np.float32([1, 4])) == 1.0


def test_no_broadcasting_between_samples():
    metric = make_metric("mae")
    with pytest.raises(InvalidDataError, match=r"\(2, 3\).*\(2, 1\)"):
        metric.measure(np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 1)))


def test_outputs_without_elements_are_refused():
    with pytest.raises(InvalidDataError, match=r"\(2, 0\) have no elements"):
        value("l1", np.zeros((2, 0)), np.zeros((2, 0)))


def test_integer_outputs_do_not_wrap():
    assert value("l1", np.uint8([[0]]), np.uint8([[255]])) == 255.0
