from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.metrics.loss import FLOAT_ZERO, NO_FIXED, NO_FLOAT, quantization_loss

VALUE = st.floats(min_value=-1e6, max_value=1e6).filter(lambda value: abs(value) > 1e-6)


@given(fixed=st.floats(min_value=-1e6, max_value=1e6), reference=VALUE)
def test_the_loss_is_the_distance_in_percent_of_float(fixed, reference):
    exact = abs(Fraction(fixed) - Fraction(reference)) / abs(Fraction(reference)) * 100
    found = quantization_loss(fixed, reference)
    assert found.reason is None
    assert found.value == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("fixed", "reference", "reason"), [(0.5, 0.0, FLOAT_ZERO), (0.5, None, NO_FLOAT), (None, 0.5, NO_FIXED)]
)
def test_without_anything_to_relate_to_there_is_a_reason(fixed, reference, reason):
    assert quantization_loss(fixed, reference).value is None
    assert quantization_loss(fixed, reference).reason == reason


def test_an_error_that_falls_is_a_distance_too():
    assert quantization_loss(0.9, 1.0).value == pytest.approx(quantization_loss(1.1, 1.0).value)
