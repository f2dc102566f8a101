"""Output errors rank bad cases; larger is worse, always finite."""

import math

import numpy as np
import pytest

from search.metrics.output_error import ERROR_NAMES, NON_FINITE_ERROR, output_errors


def test_equals_a_slow_loop():
    rng = np.random.default_rng(0)
    outputs, reference = rng.standard_normal((2, 6, 3, 5)).astype(np.float32)
    got = output_errors(outputs, reference)
    assert tuple(got) == ERROR_NAMES
    for i in range(6):
        x, y = [float(v) for v in outputs[i].flat], [float(v) for v in reference[i].flat]
        dot = math.fsum(a * b for a, b in zip(x, y, strict=True))
        norm = math.sqrt(math.fsum(a * a for a in x)) * math.sqrt(math.fsum(b * b for b in y))
        errors = [abs(a - b) for a, b in zip(x, y, strict=True)]
        assert got["cosine"][i] == pytest.approx(1 - dot / norm, rel=1e-6)
        assert got["l1"][i] == pytest.approx(math.fsum(errors) / 15, rel=1e-6)
        assert got["atol"][i] == pytest.approx(max(errors), rel=1e-6)
    assert all(error.dtype == np.float32 for error in got.values())


def test_equal_outputs_have_no_error():
    x = np.random.default_rng(1).standard_normal((40, 13)).astype(np.float32)
    assert all((error == 0).all() for error in output_errors(x, x).values())


def test_tiny_angles_are_told_apart():
    reference = np.float32([[1, 0], [1, 0]])
    cosine = output_errors(np.float32([[1, 1e-5], [1, 2e-5]]), reference)["cosine"]
    assert cosine[0] == pytest.approx(0.5e-10, rel=1e-4)
    assert cosine[1] == pytest.approx(2e-10, rel=1e-4)


def test_zero_vectors():
    zero, one = np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)
    assert output_errors(zero, zero)["cosine"].tolist() == [0.0]
    assert output_errors(zero, one)["cosine"].tolist() == [1.0]
    assert output_errors(one, zero)["cosine"].tolist() == [1.0]
    assert output_errors(one, -one)["cosine"].tolist() == [2.0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_samples_sort_first_and_keep_means_finite(bad):
    outputs, reference = np.ones((3, 2), np.float32), np.zeros((3, 2), np.float32)
    outputs[1, 0] = bad
    for error in output_errors(outputs, reference).values():
        assert np.argmax(error) == 1
        assert error[1] == np.float32(NON_FINITE_ERROR)
        assert math.isfinite(error.mean())


def test_errors_beyond_the_sentinel_are_limited_to_it():
    outputs = np.full((1, 1), 3e38, np.float32)
    assert output_errors(outputs, -outputs)["atol"].tolist() == [np.float32(NON_FINITE_ERROR)]
