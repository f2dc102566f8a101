"""How well a few samples order the points, judged by the samples themselves.

Two halves of the samples order the points independently of each other. From the rank correlation ``r`` of two halves,
Spearman-Brown gives the reliability of all of them, ``2 r / (1 + r)``, and its square root is the correlation expected
with the order from every sample there is. Checked on tables measured on all samples: docs/search.md, tests.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import scipy

Values = npt.NDArray[np.float64]
COUNTS = 0.01  # of the largest value: rows below are the same to everybody
FEWEST_POINTS = 5  # a rank correlation of fewer says nothing
N_SPLITS = 20


def counting(values: Values) -> npt.NDArray[np.bool_]:
    """Return which points count, ``[points]``: those above ``COUNTS`` of the largest mean.

    Args:
        values: Error of every point on every sample, ``[points, samples]``.
    """
    means = values.mean(axis=1)
    return np.asarray(means >= COUNTS * means.max(initial=0.0), dtype=np.bool_)


def rank_agreement(values: Values) -> float | None:
    """Return the rank correlation to expect between these samples' order of the points and that of all samples.

    Args:
        values: Error of every point on every sample, ``[points, samples]``; points that do not count are left out.

    Returns:
        An estimate in [0, 1]; None for fewer than ``FEWEST_POINTS`` points that count or fewer than two samples.
    """
    kept = values[counting(values)]
    if len(kept) < FEWEST_POINTS or values.shape[1] < 2:
        return None
    halves = _halves(values.shape[1])
    first, second = (_ranks(kept @ weights.T / weights.sum(axis=1)) for weights in (halves, 1.0 - halves))
    mean = max(0.0, float(np.mean(_correlations(first, second))))
    return float(np.sqrt(2.0 * mean / (1.0 + mean)))


def _halves(n: int) -> Values:
    """Ways to cut ``n`` samples in two, ``[ways, n]``, 1 for one half: all of them, or ``N_SPLITS`` by a fixed seed."""
    if n <= 6:
        halves = [list(half) for half in combinations(range(n), n // 2) if n % 2 or 0 in half]
    else:
        rng = np.random.default_rng(n)
        halves = [rng.permutation(n)[: n // 2].tolist() for _ in range(N_SPLITS)]
    found = np.zeros((len(halves), n))
    for row, half in zip(found, halves, strict=True):
        row[half] = 1.0
    return found


def _ranks(means: Values) -> Values:
    """Centred ranks of the points, per way to halve, ``[points, ways]``; alike points share a rank."""
    ranks = np.asarray(scipy.stats.rankdata(means, axis=0), dtype=np.float64)
    return np.asarray(ranks - ranks.mean(axis=0))


def _correlations(first: Values, second: Values) -> Values:
    """Spearman's correlation per way to halve; 1 where all points are alike, since any order is right then."""
    scale = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    product = (first * second).sum(axis=0)
    return np.asarray(np.divide(product, scale, out=np.ones_like(scale), where=scale > 0))
