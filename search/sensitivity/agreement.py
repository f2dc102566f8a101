"""How well a few samples order the points, judged by the samples themselves.

Two halves of the samples order the points independently of each other. From the rank correlation ``r`` of two halves,
Spearman-Brown gives the reliability of all of them, ``2 r / (1 + r)``, and its square root is the correlation expected
with the order from every sample there is. Checked on tables measured on all samples: docs/search.md, tests.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import stats

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
    found = [_correlation(kept[:, half], kept[:, other]) for half, other in _halves(values.shape[1])]
    mean = max(0.0, float(np.mean(found)))
    return float(np.sqrt(2.0 * mean / (1.0 + mean)))


def _halves(n: int) -> list[tuple[list[int], list[int]]]:
    """Ways to cut ``n`` samples in two: all of them, or ``N_SPLITS`` drawn by a fixed seed."""
    if n <= 6:
        halves = [list(half) for half in combinations(range(n), n // 2) if n % 2 or 0 in half]
    else:
        rng = np.random.default_rng(n)
        halves = [sorted(rng.permutation(n)[: n // 2].tolist()) for _ in range(N_SPLITS)]
    return [(half, [i for i in range(n) if i not in half]) for half in halves]


def _correlation(a: Values, b: Values) -> float:
    """Spearman's correlation of the means; 1 where all points are alike, since any order is right then."""
    first, second = (stats.rankdata(one.mean(axis=1)) for one in (a, b))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 1.0
    return float(np.corrcoef(first, second)[0, 1])
