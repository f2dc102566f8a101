from __future__ import annotations

import numpy as np
import pytest

from search.calibration.ranges import Ranges, derive_ranges
from search.quant.grid import ScaleRule
from search.quant.histogram import Histogram

METHODS = ("min_max", "percentile", "mse", "kl", "kl_v2", "mix")
WANTED = [(method, bits) for method in METHODS for bits in (8, 16)]


def histogram(*values: float) -> Histogram:
    found = Histogram()
    found.update(np.array(values, np.float32))
    return found


def derive(*histograms: Histogram, integral=None) -> Ranges:
    return derive_ranges(histograms, WANTED, rule=ScaleRule.POWER, integral=integral)


def test_every_method_and_width_comes_from_one_histogram():
    rng = np.random.default_rng(0)
    found = derive(histogram(*rng.normal(size=4096)), histogram(*rng.uniform(0, 5, 4096)))
    assert set(found.by_method) == set(WANTED)
    for pair, ends in found.by_method.items():
        assert ends.shape == (2, 2)
        assert np.isfinite(ends).all(), pair
        assert not found.failed(*pair)
    with_zero = np.stack([np.minimum(found.extremes[:, 0], 0), np.maximum(found.extremes[:, 1], 0)], axis=1)
    np.testing.assert_array_equal(found.by_method[("min_max", 8)], with_zero)


@pytest.mark.parametrize("values", [(0.0,) * 9, (3.5,) * 9, (-2.0,) * 9])
def test_constant_and_all_zero_tensors_have_a_range(values):
    found = derive(histogram(*values))
    for method, bits in WANTED:
        low, high = found.by_method[(method, bits)][0]
        assert np.isfinite([low, high]).all()
        assert low <= high


def test_values_that_are_not_finite_are_counted_but_do_not_spoil_the_range():
    found = derive(histogram(1.0, np.nan, -3.0, np.inf, 2.0))
    assert found.nonfinite.tolist() == [2]
    assert found.extremes.tolist() == [[-3.0, 2.0]]


def test_a_tensor_without_any_finite_value_has_no_range_and_is_no_failure_of_the_method():
    found = derive(histogram(np.nan, np.inf), histogram(1.0, 2.0))
    assert np.isnan(found.extremes[0]).all()
    for method, bits in WANTED:
        assert np.isnan(found.by_method[(method, bits)][0]).all()
        assert not found.failed(method, bits)


def test_a_method_that_gives_nothing_for_a_usable_tensor_has_failed():
    found = derive(histogram(1.0, 2.0))
    found.by_method[("kl", 8)][0] = np.nan
    assert found.failed("kl", 8)
    assert not found.failed("kl", 16)


def test_ranges_survive_as_arrays():
    found = derive(histogram(1.0, 2.0), histogram(-1.0, np.nan), integral=[True, False])
    again = Ranges.from_arrays(found.to_arrays())
    assert set(again.by_method) == set(found.by_method)
    for pair, ends in found.by_method.items():
        np.testing.assert_array_equal(again.by_method[pair], ends)
    for name in ("extremes", "nonfinite", "integral"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
