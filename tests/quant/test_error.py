"""The expected squared error against slow sums over many points and against real samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from search.quant.density import density_of, folded_counts, signed_counts
from search.quant.error import mean_squared_error, range_errors
from search.quant.grid import Grid, ScaleRule, fake_quantize, grid_from_threshold, make_grid
from search.quant.histogram import CENTRE, Histogram

SAMPLES = {
    "normal": np.random.default_rng(0).normal(size=60_000),
    "relu": np.maximum(np.random.default_rng(1).normal(size=60_000), 0),
    "relu6": np.clip(np.random.default_rng(2).normal(size=60_000) * 4, 0, 6),
    "negative": -np.random.default_rng(3).exponential(size=60_000) - 0.5,
    "few large": np.random.default_rng(4).standard_t(3, size=60_000),
}


def histogram_of(values: npt.NDArray[np.floating]) -> Histogram:
    histogram = Histogram()
    histogram.update(values.astype(np.float32))
    return histogram


def real_error(values: npt.NDArray[np.floating], grid: Grid) -> float:
    x = values.astype(np.float32)
    return float(np.mean((x.astype(np.float64) - fake_quantize(x, grid)) ** 2))


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("rule", ScaleRule)
@pytest.mark.parametrize("share", [1.0, 0.5, 0.1])
def test_prediction_is_close_to_the_error_on_the_samples(name: str, rule: ScaleRule, share: float) -> None:
    values = SAMPLES[name]
    grid = make_grid(share * values.min(), share * values.max(), bits=8, rule=rule)
    assert mean_squared_error(histogram_of(values), grid) == pytest.approx(real_error(values, grid), rel=0.03)


@pytest.mark.parametrize("name", SAMPLES)
def test_prediction_holds_where_steps_are_finer_than_bins(name: str) -> None:
    values = SAMPLES[name]
    grid = make_grid(values.min(), values.max(), bits=16, rule=ScaleRule.POWER)
    assert mean_squared_error(histogram_of(values), grid) == pytest.approx(real_error(values, grid), rel=0.03)


def test_prediction_equals_a_slow_sum_over_evenly_spread_points() -> None:
    histogram = histogram_of(np.array([-3.3, -0.01, 0.02, 0.7, 1.9, 2.0, 2.0, 0.0]))
    grid = grid_from_threshold(1.5, 8)
    width, total = histogram.bin_width, 0.0
    for index in np.flatnonzero(histogram.counts):
        k = int(index) - CENTRE
        count = int(histogram.counts[index]) - (histogram.n_zero if k == 0 else 0)
        low, high = (k * width, (k + 1) * width) if k > 0 else ((k - 1) * width, k * width)
        low, high = (-width, width) if k == 0 else (low, high)
        low, high = max(low, histogram.low), min(high, histogram.high)
        points = low + (np.arange(20_000) + 0.5) / 20_000 * (high - low)
        images = np.clip(np.rint(points / grid.scale), grid.qmin, grid.qmax) * grid.scale
        total += count * float(np.mean((points - images) ** 2))
    assert mean_squared_error(histogram, grid) == pytest.approx(total / 8, rel=1e-6)


def test_a_constant_tensor_and_zeros_cost_what_they_cost_exactly() -> None:
    grid = grid_from_threshold(2.0, 8)
    assert mean_squared_error(histogram_of(np.full(10, 3.0)), grid) == pytest.approx((3.0 - 2.0 * 127 / 128) ** 2)
    assert mean_squared_error(histogram_of(np.zeros(10)), grid) == 0.0
    assert mean_squared_error(Histogram(), grid) == 0.0


def test_values_stuck_at_a_bin_edge_are_one_point() -> None:
    density = density_of(histogram_of(np.array([6.0, 6.0, 1.5, 0.0])))
    assert density.points.tolist() == [6.0]
    assert density.point_counts.tolist() == [2.0]
    assert density.counts.sum() == 1.0
    assert density.n_finite == 4


def test_a_very_small_tensor_is_measured_without_underflow() -> None:
    values = np.array([1e-36, -2e-36, 3e-36])
    error = mean_squared_error(histogram_of(values), make_grid(-2e-36, 3e-36, bits=8, rule=ScaleRule.POWER))
    assert 0 < error < (3e-36 / 127) ** 2


def test_many_candidates_equal_one_by_one() -> None:
    histogram = histogram_of(SAMPLES["normal"])
    lows, highs = np.linspace(-4, -0.1, 40), np.linspace(4, 0.3, 40)
    errors = range_errors(density_of(histogram), lows, highs, bits=8, rule=ScaleRule.ORT_ASYMMETRIC)
    for low, high, error in zip(lows, highs, errors, strict=True):
        grid = make_grid(float(low), float(high), bits=8, rule=ScaleRule.ORT_ASYMMETRIC)
        assert mean_squared_error(histogram, grid) == pytest.approx(float(error), rel=1e-12)


def test_folded_and_signed_counts_hold_every_non_zero_value() -> None:
    histogram = histogram_of(np.array([-1.0, -1e-9, 0.0, 0.0, 1e-9, 2e-9, 1.5]))
    assert folded_counts(histogram).sum() == 5
    assert folded_counts(histogram)[0] == 3
    signed = signed_counts(histogram)
    assert signed.counts.sum() == 5
    assert (signed.n_negative, signed.n_positive) == (2049, 3073)
    assert signed.counts[[signed.n_negative - 1, signed.n_negative]].tolist() == [1.5, 1.5]
