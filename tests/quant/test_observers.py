"""Every calibration method against one contract; each search against a slow copy of its definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search.errors import InvalidDataError
from search.quant.density import SignedCounts, folded_counts, signed_counts
from search.quant.error import mean_squared_error
from search.quant.grid import ScaleRule, fake_quantize, make_grid
from search.quant.histogram import Histogram
from search.quant.observers import kl as kl_file
from search.quant.observers import kl_v2 as kl_v2_file
from search.quant.observers.kl import candidate_sizes, kl
from search.quant.observers.kl_v2 import kl_v2
from search.quant.observers.mse import mse
from search.quant.observers.percentile import percentile
from search.quant.observers.registry import METHODS

RNG = np.random.default_rng(11)
SIGMOID_INPUT = RNG.normal(size=100_000) * 3
SHAPES = {
    "normal": RNG.normal(size=100_000),
    "laplace": RNG.laplace(size=100_000),
    "relu": np.maximum(RNG.normal(size=100_000), 0),
    "relu6": np.clip(RNG.normal(size=100_000) * 4, 0, 6),
    "silu": SIGMOID_INPUT / (1 + np.exp(-SIGMOID_INPUT)),
    "uniform": RNG.uniform(-1, 1, size=100_000),
}
VALUES = arrays(
    np.float32,
    st.integers(1, 40),
    elements=st.one_of(st.floats(-100, 100, width=32), st.floats(width=32, allow_nan=False, allow_infinity=False)),
)
RULES = st.sampled_from(list(ScaleRule))
BITS = st.sampled_from([8, 16])


def histogram_of(values: npt.NDArray[np.floating]) -> Histogram:
    histogram = Histogram()
    histogram.update(values.astype(np.float32))
    return histogram


def expected_error(histogram: Histogram, method: str, bits: int, rule: ScaleRule) -> float:
    low, high = METHODS[method](histogram, bits, rule)
    return mean_squared_error(histogram, make_grid(low, high, bits=bits, rule=rule))


def test_methods_are_listed_from_the_simplest() -> None:
    assert list(METHODS) == ["min_max", "percentile", "mse", "kl", "kl_v2", "mix"]


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_without_finite_values_is_refused(method: str) -> None:
    with pytest.raises(InvalidDataError, match=r"no finite value .*\(2 are NaN or infinite\)"):
        METHODS[method](histogram_of(np.array([np.nan, np.inf])), 8, ScaleRule.POWER)


@pytest.mark.parametrize("method", METHODS)
@given(values=VALUES, bits=BITS, rule=RULES)
@settings(max_examples=40, deadline=None)
def test_a_range_lies_inside_the_data_and_makes_a_grid(
    method: str, values: npt.NDArray[np.float32], bits: int, rule: ScaleRule
) -> None:
    histogram = histogram_of(values)
    before = histogram.to_arrays()
    low, high = METHODS[method](histogram, bits, rule)
    assert min(0.0, histogram.low) <= low <= high <= max(0.0, histogram.high)
    make_grid(low, high, bits=bits, rule=rule)
    assert histogram.to_arrays()["counts"].tobytes() == before["counts"].tobytes()


@given(values=VALUES, bits=BITS, rule=RULES)
@settings(max_examples=60, deadline=None)
def test_mse_and_mix_are_never_worse_than_min_max(values: npt.NDArray[np.float32], bits: int, rule: ScaleRule) -> None:
    histogram = histogram_of(values)
    plain = expected_error(histogram, "min_max", bits, rule)
    best = expected_error(histogram, "mse", bits, rule)
    assert best <= plain * (1 + 1e-9)
    assert expected_error(histogram, "mix", bits, rule) <= best * (1 + 1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 3.0, -0.25, 1e-40])
@pytest.mark.parametrize("rule", ScaleRule)
def test_a_constant_tensor_keeps_its_value(method: str, value: float, rule: ScaleRule) -> None:
    low, high = METHODS[method](histogram_of(np.full(50, value)), 8, rule)
    image = fake_quantize(np.array([value], np.float32), make_grid(low, high, bits=8, rule=rule))
    assert float(image[0]) == pytest.approx(value, rel=1e-6, abs=1e-38)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rule", ScaleRule)
def test_mse_is_close_to_the_best_of_a_dense_search_on_the_samples(shape: str, rule: ScaleRule) -> None:
    x = SHAPES[shape].astype(np.float32)[:20_000]

    def real(low: float, high: float) -> float:
        return float(np.mean((x - fake_quantize(x, make_grid(low, high, bits=8, rule=rule))) ** 2))

    dense = min(real(float(x.min()) * r, float(x.max()) * r) for r in np.linspace(0.4, 1.0, 61))
    assert real(*mse(histogram_of(x), 8, rule)) <= dense * 1.05


@pytest.mark.parametrize("rule", ScaleRule)
def test_percentile_leaves_out_its_share(rule: ScaleRule) -> None:
    x = SHAPES["laplace"]
    low, high = percentile(histogram_of(x), 8, rule, share=0.99)
    assert np.mean((x < low) | (x > high)) == pytest.approx(0.01, rel=0.03)
    if rule is ScaleRule.ORT_ASYMMETRIC:
        assert np.mean(x > high) == pytest.approx(0.005, rel=0.03)


def test_percentile_counts_zeros_and_never_empties_the_range() -> None:
    x = np.zeros(1_000_000)
    x[:10] = 5.0
    assert percentile(histogram_of(x), 8, ScaleRule.POWER) == (0.0, 5.0)
    x[:1000] = np.arange(1000) / 100
    low, high = percentile(histogram_of(x), 8, ScaleRule.POWER)
    assert low == 0.0
    assert high == pytest.approx(8.99, abs=0.02)  # 100 of 10**6 may lie beyond


def test_percentile_refuses_a_share_outside_its_limits() -> None:
    with pytest.raises(ValueError, match=r"\(0, 1\], got 0\.0"):
        percentile(histogram_of(np.ones(3)), 8, ScaleRule.POWER, share=0.0)


@pytest.mark.parametrize("method", [kl, kl_v2])
@pytest.mark.parametrize("rule", ScaleRule)
def test_kl_at_16_bits_is_the_exact_range(method: object, rule: ScaleRule) -> None:
    histogram = histogram_of(SHAPES["normal"])
    assert method(histogram, 16, rule) == (histogram.low, histogram.high)  # type: ignore[operator]


@pytest.mark.parametrize("method", ["percentile", "mse", "kl", "kl_v2", "mix"])
@pytest.mark.parametrize("shape", ["laplace", "silu"])
@pytest.mark.parametrize("rule", ScaleRule)
def test_clipping_methods_serve_the_other_values_better_than_min_max(method: str, shape: str, rule: ScaleRule) -> None:
    histogram = histogram_of(np.concatenate([SHAPES[shape], [40.0]]))
    body = histogram_of(SHAPES[shape])
    errors = [
        mean_squared_error(body, make_grid(*METHODS[name](histogram, 8, rule), bits=8, rule=rule))
        for name in (method, "min_max")
    ]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("shape", ["normal", "laplace", "relu", "uniform"])
@pytest.mark.parametrize("n", [1000, 3000])
def test_kl_v2_does_not_take_sampling_noise_for_structure(shape: str, n: int) -> None:
    histogram = histogram_of(SHAPES[shape][:n])
    best = expected_error(histogram, "mse", 8, ScaleRule.POWER)
    assert expected_error(histogram, "kl_v2", 8, ScaleRule.POWER) <= best * 4


def slow_kl(counts: npt.NDArray[np.float64], size: int, n_levels: int) -> float:
    """The formula of docs/numerics.md, bin by bin."""
    p = counts[:size].copy()
    p[-1] += counts[size:].sum()
    q = np.zeros(size)
    for level in range(n_levels):
        bins = range(size * level // n_levels, size * (level + 1) // n_levels)
        held = sum(counts[j] for j in bins)
        filled = [j for j in bins if p[j] > 0]
        for j in filled:
            q[j] = held / len(filled)
    if np.any((q == 0) & (p > 0)):
        return math.inf
    return sum(p[j] / p.sum() * math.log(p[j] / p.sum() / (q[j] / q.sum())) for j in range(size) if p[j] > 0)


def slow_kl_v2(signed: SignedCounts, first: int, last: int, edges: list[int]) -> float:
    """The formula of docs/numerics.md, bin by bin, without the noise term; entropy of P included."""
    counts, n_bins = signed.counts, signed.counts.size
    q = np.zeros(n_bins)
    cells = [(a, b) for a, b in itertools.pairwise(edges) if b > a]
    for i, (a, b) in enumerate(cells):
        held = counts[a:b].sum()
        held += counts[:first].sum() if i == 0 else 0.0
        held += counts[last:].sum() if i == len(cells) - 1 else 0.0
        q[a:b] = held / (b - a)
    p = (1 - kl_v2_file.SMOOTHING) * counts / counts.sum() + kl_v2_file.SMOOTHING / n_bins
    q = (1 - kl_v2_file.SMOOTHING) * q / counts.sum() + kl_v2_file.SMOOTHING / n_bins
    return float(np.sum(p * np.log(p / q)))


@pytest.mark.parametrize("shape", ["laplace", "relu", "relu6"])
def test_kl_equals_a_loop_over_bins(shape: str) -> None:
    counts = folded_counts(histogram_of(SHAPES[shape][:3000]))
    sizes = candidate_sizes(128, counts.size)[::25]
    got = kl_file._divergences(counts, sizes, 128)
    for size, divergence in zip(sizes, got, strict=True):
        assert divergence == pytest.approx(slow_kl(counts, int(size), 128), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("shape", ["laplace", "relu", "silu"])
@pytest.mark.parametrize("rule", [ScaleRule.POWER, ScaleRule.ORT_ASYMMETRIC])
def test_kl_v2_equals_a_loop_over_bins(shape: str, rule: ScaleRule, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = signed_counts(histogram_of(SHAPES[shape][:3000]))
    sizes = candidate_sizes(256, max(signed.n_negative, signed.n_positive))[::40]
    edges = kl_v2_file._level_edges(signed, sizes, bits=8, rule=rule)
    held = [np.diff(row) for row in edges]
    monkeypatch.setattr(kl_v2_file, "_noise", lambda *_: 0.0)
    got = kl_v2_file._divergences(signed.counts, edges)
    slow = [slow_kl_v2(signed, int(row[0]), int(row[-1]), row.tolist()) for row in edges]
    np.testing.assert_allclose(got - got[0], np.array(slow) - slow[0], rtol=1e-8, atol=1e-10)
    assert all(np.all(widths >= 0) for widths in held)


def test_the_noise_term_is_what_equal_chances_give_on_average() -> None:
    rng = np.random.default_rng(0)
    for mean in (0.05, 0.7, 3.0, 60.0):
        counts = rng.poisson(mean, size=400_000).astype(float)
        own = np.where(counts > 0, counts * np.log(np.maximum(counts, 1)), 0.0) - mean * math.log(mean)
        logs = np.mean(own - (counts - mean) * (1 + math.log(mean)))  # mean 0: takes most of the scatter out
        got = float(np.interp(mean, kl_v2_file._MEANS, kl_v2_file._excess()))
        assert got == pytest.approx(logs, rel=0.05, abs=0.01)


def test_candidates_go_from_everything_down_to_one_bin_per_level() -> None:
    sizes = candidate_sizes(128, 4096)
    assert (sizes[0], sizes[-1], sizes.size) == (4096, 128, 256)
    assert candidate_sizes(128, 130).tolist() == [130, 129, 128]
