"""Observer ``kl_v2``: the information search with an honest reference.

The reference ``P`` is the whole signed histogram for every candidate; nothing is moved or left out. ``Q`` is
what the grid makes of it: clipped values sit in the outer levels, each level is spread evenly over all its
bins, empty ones included. Both are mixed with a little of the uniform distribution, so that values which
``Q`` clips away cost a finite amount. What sampling noise alone would add inside the levels is subtracted.
See docs/numerics.md#observers.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import scipy

from search.quant.density import SignedCounts, signed_counts
from search.quant.grid import ScaleRule
from search.quant.histogram import Histogram
from search.quant.observers.kl import candidate_sizes, levels_per_side
from search.quant.observers.min_max import clip_to, min_max

DoubleArray: TypeAlias = npt.NDArray[np.float64]
IndexArray: TypeAlias = npt.NDArray[np.int64]

SMOOTHING = 1e-4
"""Share of the uniform distribution in P and Q."""


def kl_v2(histogram: Histogram, bits: int, rule: ScaleRule) -> tuple[float, float]:
    """Return the range cut to the best threshold, or the exact range where levels are not fewer than bins.

    Raises:
        InvalidDataError: If there is no finite value.
    """
    ends = min_max(histogram, bits, rule)
    signed = signed_counts(histogram)
    largest = max(signed.n_negative, signed.n_positive)
    n_levels = levels_per_side(ends, bits, rule)
    if n_levels >= largest:
        return ends
    sizes = candidate_sizes(n_levels, largest)
    edges = _level_edges(signed, sizes, bits=bits, rule=rule)
    best = int(np.argmin(_divergences(signed.counts, edges)))
    return ends if best == 0 else clip_to(ends, float(sizes[best]) * histogram.bin_width)


def _level_edges(signed: SignedCounts, sizes: IndexArray, *, bits: int, rule: ScaleRule) -> IndexArray:
    """Return where each level begins, as an index into the signed bins, ``[m, 2**bits + 1]``.

    A symmetric grid has ``2**(bits-1)`` levels on each side of 0 also where the data has one sign; those
    beyond the data have no width. An asymmetric grid spreads ``2**bits`` levels over what is inside.
    """
    if rule.symmetric:
        half = 1 << (bits - 1)
        inward = sizes[:, None] * np.arange(half + 1)[None, :] // half
        both = np.concatenate([-inward[:, :0:-1], inward], axis=1)
        return np.asarray(np.clip(both + signed.n_negative, 0, signed.counts.size))
    first = signed.n_negative - np.minimum(sizes, signed.n_negative)
    last = signed.n_negative + np.minimum(sizes, signed.n_positive)
    n_levels = 1 << bits
    return np.asarray(first[:, None] + (last - first)[:, None] * np.arange(n_levels + 1)[None, :] // n_levels)


def _divergences(counts: DoubleArray, edges: IndexArray) -> DoubleArray:
    """Return ``KL(P || Q) - noise`` of each candidate, up to the entropy of P, which they share.

    Sums over bins are differences of prefix sums, so a candidate costs its levels, not its bins.
    """
    total, n_bins = float(counts.sum()), counts.size
    background = SMOOTHING / n_bins
    held_below = np.concatenate([[0.0], np.cumsum(counts)])
    held = np.diff(held_below[edges], axis=1) / total
    widths = np.diff(edges, axis=1).astype(np.float64)
    below = held_below[edges[:, 0]] / total
    above = (total - held_below[edges[:, -1]]) / total
    given = _with_clipped(held, widths, below, above)
    per_bin = np.divide(given, widths, out=np.zeros_like(given), where=widths > 0)
    reference = (1.0 - SMOOTHING) * held + background * widths
    outside = (1.0 - SMOOTHING) * (below + above) + background * (n_bins - widths.sum(axis=1))
    inside = scipy.special.xlogy(reference, (1.0 - SMOOTHING) * per_bin + background).sum(axis=1)
    divergence: DoubleArray = -inside - outside * np.log(background) - _noise(held, widths, total)
    return divergence


def _with_clipped(held: DoubleArray, widths: DoubleArray, below: DoubleArray, above: DoubleArray) -> DoubleArray:
    """Return the shares of the levels with the clipped shares put in the outermost ones that have bins."""
    given = held.copy()
    rows = np.arange(len(held))
    has_bins = widths > 0
    given[rows, np.argmax(has_bins, axis=1)] += below
    given[rows, widths.shape[1] - 1 - np.argmax(has_bins[:, ::-1], axis=1)] += above
    return given


def _noise(held: DoubleArray, widths: DoubleArray, total: float) -> DoubleArray:
    """Return the divergence that counting alone gives, were the values of a level evenly likely in its bins.

    ``sum over levels of width * g(mean count per bin) / total``.
    """
    per_bin = np.divide(held * total, widths, out=np.zeros_like(held), where=widths > 0)
    excess = np.interp(per_bin, _MEANS, _excess())
    return np.asarray((widths * excess).sum(axis=1) / total, np.float64)


def _poisson_excess(means: DoubleArray) -> DoubleArray:
    """Return ``g(m) = E[c*log(c)] - m*log(m)`` for Poisson counts ``c`` of mean ``m``; towards 1/2 for large m."""
    counts = np.arange(0.0, 400.0)
    log_chance = scipy.special.xlogy(counts, means[:, None]) - means[:, None] - scipy.special.gammaln(counts + 1.0)
    mean_of_logs = (np.exp(log_chance) * scipy.special.xlogy(counts, counts)).sum(axis=1)
    return np.asarray(mean_of_logs - scipy.special.xlogy(means, means), np.float64)


_MEANS = np.concatenate([[0.0], np.geomspace(1e-6, 100.0, 240)])


@cache
def _excess() -> DoubleArray:
    """The excess at ``_MEANS``."""
    return _poisson_excess(_MEANS)
