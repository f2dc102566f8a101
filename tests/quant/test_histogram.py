"""Histograms depend on the values alone; bins are checked against exact integer arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search.quant.histogram import CENTRE, N_BINS, N_PER_SIDE, Histogram, running_merges

VALUES = arrays(
    np.float32,
    st.integers(0, 60),
    elements=st.one_of(
        st.floats(width=32),
        st.floats(-8, 8, width=32),
        st.sampled_from([0.0, -0.0, 1.0, -1.0, 6.0, 1e-45, -1e-45, 3e38, -3e38]),
    ),
)


def histogram_of(*batches: npt.NDArray[np.float32]) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.update(batch)
    return histogram


def assert_same(first: Histogram, second: Histogram) -> None:
    one, two = first.to_arrays(), second.to_arrays()
    assert one.keys() == two.keys()
    for key in one:
        assert one[key].tobytes() == two[key].tobytes(), key


def exact_bins(values: npt.NDArray[np.float32]) -> tuple[int, dict[int, int]]:
    """The definition, in exact arithmetic."""
    finite = [Fraction(float(v)) for v in values if np.isfinite(v)]
    largest = max((abs(v) for v in finite), default=Fraction(0))
    exponent = -114
    while largest >= Fraction(2) ** exponent:
        exponent += 1
    width = Fraction(2) ** (exponent - 12)
    counts: dict[int, int] = {}
    for value in finite:
        index = int(value / width)  # int() of a Fraction truncates
        counts[index] = counts.get(index, 0) + 1
    return exponent, counts


@given(values=VALUES)
def test_bins_equal_the_definition_in_exact_arithmetic(values: npt.NDArray[np.float32]) -> None:
    histogram = histogram_of(values)
    exponent, counts = exact_bins(values)
    assert histogram.exponent == exponent
    got = {int(i) - CENTRE: int(histogram.counts[i]) for i in np.flatnonzero(histogram.counts)}
    assert got == counts


@given(values=VALUES, cuts=st.lists(st.integers(0, 60), max_size=5), seed=st.integers(0, 99))
@settings(max_examples=200)
def test_neither_batches_nor_order_nor_merging_change_the_histogram(
    values: npt.NDArray[np.float32], cuts: list[int], seed: int
) -> None:
    whole = histogram_of(values)
    shuffled = np.random.default_rng(seed).permutation(values)
    parts = np.split(shuffled, sorted(min(cut, values.size) for cut in cuts))
    assert_same(histogram_of(*parts), whole)
    merged = Histogram()
    for part in parts:
        merged = merged.merge(histogram_of(part))
    assert_same(merged, whole)


@given(values=VALUES)
def test_ends_and_tallies_are_exact(values: npt.NDArray[np.float32]) -> None:
    histogram = histogram_of(values)
    finite = [float(v) for v in values if np.isfinite(v)]
    assert histogram.count == histogram.n_finite == len(finite)
    assert histogram.n_nonfinite == values.size - len(finite)
    assert histogram.n_zero == finite.count(0.0)
    assert histogram.low == min(finite, default=0.0)
    assert histogram.high == max(finite, default=0.0)
    assert histogram.absmax == max((abs(v) for v in finite), default=0.0)


@given(values=VALUES)
def test_a_stored_histogram_comes_back_and_goes_on(values: npt.NDArray[np.float32]) -> None:
    stored = Histogram.from_arrays(histogram_of(values).to_arrays())
    assert_same(stored, histogram_of(values))
    stored.update(np.array([9.0], np.float32))
    assert_same(stored, histogram_of(values, np.array([9.0], np.float32)))


def test_many_values_in_many_chunks_equal_one_bincount() -> None:
    values = np.random.default_rng(0).normal(size=200_001).astype(np.float32)
    histogram = histogram_of(values.reshape(3, -1))
    index = np.trunc(values.astype(np.float64) / histogram.bin_width).astype(int)
    np.testing.assert_array_equal(histogram.counts, np.bincount(index + CENTRE, minlength=N_BINS))
    assert histogram.mean == pytest.approx(values.mean(dtype=np.float64), abs=histogram.bin_width)


def test_running_merges_are_prefixes_of_the_samples() -> None:
    values = np.random.default_rng(1).normal(size=(8, 50)).astype(np.float32) * np.arange(1, 9)[:, None]
    values = values.astype(np.float32)
    parts = [histogram_of(values[:2]), histogram_of(values[2:4]), histogram_of(values[4:])]
    before = parts[0].to_arrays()
    for merged, end in zip(running_merges(parts), (2, 4, 8), strict=True):
        assert_same(merged, histogram_of(values[:end]))
    assert before["counts"].tobytes() == parts[0].to_arrays()["counts"].tobytes()


def test_a_strided_view_and_a_scalar_are_counted() -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert_same(histogram_of(values[:, ::2]), histogram_of(np.ascontiguousarray(values[:, ::2])))
    assert histogram_of(np.array(3.0, np.float32)).count == 1


def test_the_counts_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        histogram_of(np.ones(3, np.float32)).counts[0] = 1


def test_other_dtypes_and_broken_blobs_are_refused() -> None:
    with pytest.raises(ValueError, match="counts float32 values, got float64"):
        Histogram().update(np.zeros(3))  # type: ignore[arg-type]
    stored = histogram_of(np.ones(3, np.float32)).to_arrays()
    with pytest.raises(ValueError, match="do not fit"):
        Histogram.from_arrays({**stored, "counts": stored["counts"] + 1})
    with pytest.raises(ValueError, match="header of 7 numbers"):
        Histogram.from_arrays({**stored, "header": stored["header"][:3]})


def test_the_top_octave_has_half_of_the_bins() -> None:
    histogram = histogram_of(np.array([1.0], np.float32))
    assert histogram.exponent == 1
    assert histogram.bin_width == 2.0 / N_PER_SIDE
    assert int(np.flatnonzero(histogram.counts)[0]) - CENTRE == N_PER_SIDE // 2
