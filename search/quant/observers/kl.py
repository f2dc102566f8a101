"""Observer ``kl``: the classic search for the threshold that loses least information.

Candidate ``T`` = the first ``i`` bins of ``|x|``. Reference ``P`` = these bins with the clipped values added to
the last one; ``Q`` = the bins without them, merged to ``2**(bits-1)`` levels, each level spread evenly over
its non-empty bins. The smallest ``KL(P || Q)`` wins. See docs/numerics.md#observers.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy

from search.quant.density import folded_counts
from search.quant.grid import ScaleRule
from search.quant.histogram import Histogram
from search.quant.observers.min_max import clip_to, min_max

DoubleArray: TypeAlias = npt.NDArray[np.float64]
IndexArray: TypeAlias = npt.NDArray[np.int64]

N_CANDIDATES = 256


def kl(histogram: Histogram, bits: int, rule: ScaleRule) -> tuple[float, float]:
    """Return the range cut to the best threshold, or the exact range where levels are not fewer than bins.

    Raises:
        InvalidDataError: If there is no finite value.
    """
    ends = min_max(histogram, bits, rule)
    counts = folded_counts(histogram)
    n_levels = levels_per_side(ends, bits, rule)
    if n_levels >= counts.size:
        return ends
    sizes = candidate_sizes(n_levels, counts.size)
    best = int(np.argmin(_divergences(counts, sizes, n_levels)))
    return ends if best == 0 else clip_to(ends, float(sizes[best]) * histogram.bin_width)


def levels_per_side(ends: tuple[float, float], bits: int, rule: ScaleRule) -> int:
    """Return how many levels of the grid cover one sign of the data.

    An asymmetric grid spends all its levels on the only sign there is.
    """
    one_sign = ends[0] >= 0 or ends[1] <= 0
    return 1 << bits if one_sign and not rule.symmetric else 1 << (bits - 1)


def candidate_sizes(smallest: int, largest: int) -> IndexArray:
    """Return at most ``N_CANDIDATES`` numbers of bins in ``[smallest, largest]``, evenly spaced, largest first.

    Largest first: the first of equal divergences clips least.
    """
    n = min(N_CANDIDATES, largest - smallest + 1)
    return np.unique(np.linspace(smallest, largest, n).astype(np.int64))[::-1]


def _divergences(counts: DoubleArray, sizes: IndexArray, n_levels: int) -> DoubleArray:
    """Return ``KL(P || Q)`` of each candidate, infinite where Q misses what P holds.

    All sums over bins are differences of prefix sums, so a candidate costs ``n_levels`` steps, not its bins.
    """
    total = float(counts.sum())
    counted = _prefix_sums(counts)
    filled = _prefix_sums((counts > 0).astype(np.float64))
    log_sums = _prefix_sums(np.asarray(scipy.special.xlogy(counts, counts), np.float64))
    last = counts[sizes - 1]
    clipped = total - counted[sizes]
    edges = sizes[:, None] * np.arange(n_levels + 1)[None, :] // n_levels
    in_level = np.diff(counted[edges], axis=1)
    n_filled = np.diff(filled[edges], axis=1)
    n_filled[:, -1] += (last == 0) & (clipped > 0)
    reference = in_level.copy()
    reference[:, -1] += clipped
    own_terms = log_sums[sizes] - scipy.special.xlogy(last, last) + scipy.special.xlogy(last + clipped, last + clipped)
    per_bin = np.divide(in_level, n_filled, out=np.ones_like(in_level), where=in_level > 0)
    missed = np.any((in_level == 0) & (reference > 0), axis=1) | (counted[sizes] == 0)
    inside = np.where(counted[sizes] > 0, counted[sizes], 1.0)
    divergence = (
        (own_terms - np.sum(scipy.special.xlogy(reference, per_bin), axis=1)) / total - np.log(total) + np.log(inside)
    )
    return np.where(missed, np.inf, divergence)


def _prefix_sums(values: DoubleArray) -> DoubleArray:
    """Return sums of the first 0, 1, ... n values."""
    return np.concatenate([[0.0], np.cumsum(values)])
