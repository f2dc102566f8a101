"""A histogram read as a distribution: uniform inside each bin, exact at zero and at the two ends.

What the observers integrate over. See docs/numerics.md#density.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from search.quant.histogram import CENTRE, N_PER_SIDE, Histogram

DoubleArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """Non-zero values of a histogram as touching intervals and single points.

    Attributes:
        edges: Ends of the intervals, ``[n + 1]``, not decreasing, inside ``[low, high]`` of the data.
        counts: Values in each interval, ``[n]``; 0 where an interval has no width.
        points: Values that many samples share exactly (an end of the data that is also a bin edge), ``[p]``.
        point_counts: How many, ``[p]``.
        n_finite: All finite values, zeros included: what a mean divides by.
    """

    edges: DoubleArray
    counts: DoubleArray
    points: DoubleArray
    point_counts: DoubleArray
    n_finite: int


def density_of(histogram: Histogram) -> Density:
    """Return the distribution of the non-zero values of ``histogram``.

    Bins are cut at the exact smallest and largest value. A bin that is left with no width (a clipped
    ReLU at 6.0 fills one) becomes a point. Zeros are left out: every grid holds them exactly.
    """
    counts = histogram.counts.astype(np.float64)
    counts[CENTRE] -= histogram.n_zero
    above = np.arange(1, N_PER_SIDE + 1, dtype=np.float64) * histogram.bin_width
    edges = np.concatenate([-above[::-1], above])
    filled = np.flatnonzero(counts)
    first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (CENTRE, CENTRE)
    counts = counts[first:last]
    edges = np.clip(edges[first : last + 1], histogram.low, histogram.high)
    without_width = (np.diff(edges) == 0) & (counts > 0)
    return Density(
        edges=edges,
        counts=np.where(without_width, 0.0, counts),
        points=edges[:-1][without_width],
        point_counts=counts[without_width],
        n_finite=histogram.n_finite,
    )


def folded_counts(histogram: Histogram) -> DoubleArray:
    """Return counts of non-zero ``|x|`` in bins ``[k*width, (k+1)*width)``, up to the last filled one."""
    counts = histogram.counts.astype(np.float64)
    folded = counts[CENTRE:].copy()
    folded[1:] += counts[CENTRE - 1 :: -1]
    folded[0] -= histogram.n_zero
    return np.trim_zeros(folded, "b")


@dataclass(frozen=True, slots=True, eq=False)
class SignedCounts:
    """Counts of the non-zero values in bins of one width on both sides of 0.

    Attributes:
        counts: ``[n_negative + n_positive]``, ascending.
        n_negative: How many of the bins lie below 0.
    """

    counts: DoubleArray
    n_negative: int

    @property
    def n_positive(self) -> int:
        """How many of the bins lie above 0."""
        return self.counts.size - self.n_negative


def signed_counts(histogram: Histogram) -> SignedCounts:
    """Return the counts with the double bin around 0 cut into its two halves, empty ends cut off."""
    counts = histogram.counts.astype(np.float64)
    inner = counts[CENTRE] - histogram.n_zero
    share = 0.5 if histogram.low < 0 < histogram.high else float(histogram.high > 0)
    positive = counts[CENTRE:].copy()
    negative = counts[CENTRE::-1].copy()
    positive[0] = inner * share
    negative[0] = inner * (1.0 - share)
    negative = np.trim_zeros(negative, "b")
    return SignedCounts(np.concatenate([negative[::-1], np.trim_zeros(positive, "b")]), negative.size)
