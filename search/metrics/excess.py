"""Excess: per-sample numbers whose mean over the full set is <= 0 exactly where a requirement is met.

mean, score         required - v
mean, error         v - required
root mean square    v^2 - required^2
signal to noise     e^2 - x^2 * 10^(-required/10)
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.metrics.goal_check import meets
from search.metrics.metric import Metric
from search.metrics.reductions import MeanOf, Percentile, RootMeanSquare, SignalToNoise, squares


def excess(metric: Metric, entries: Array, required: float) -> npt.NDArray[np.float64] | None:
    """Return the excess of each sample, float64 ``[n]``, or None where the metric is no function of a mean."""
    match metric.reduction:
        case MeanOf():
            numbers = entries.astype(np.float64)
            return required - numbers if metric.direction == "higher" else numbers - required
        case RootMeanSquare():
            return squares(entries) - math.copysign(required * required, required)
        case SignalToNoise():
            power = squares(entries)
            share: float = 10.0 ** (-required / 10.0)
            return power[:, 1] - share * power[:, 0]
        case _:
            return None


def badness(metric: Metric, entries: Array) -> npt.NDArray[np.float64] | None:
    """Return how much the excess of each sample could be lower if it were as good as can be, float64 ``[n]``.

    Never negative: distance from the best entry, squared where the excess is. ``badness - excess`` does not depend on
    how good a sample is, and a requirement is met where the total badness is at most the total of that. None where the
    metric is no function of a mean, or has no best entry.
    """
    match metric.reduction:
        case MeanOf(best=float(best)):
            return np.abs(entries.astype(np.float64) - best)
        case RootMeanSquare():
            return squares(entries)
        case SignalToNoise():
            return np.asarray(squares(entries)[:, 1])
        case _:
            return None


def headroom(metric: Metric, numbers: npt.NDArray[np.float64], entries: Array) -> float:
    """Return by how much the excess of an average sample could be lower if that sample were as good as can be.

    Args:
        metric: One that has an excess.
        numbers: The excess of the samples seen, before anything is subtracted.
        entries: Their entries.

    Returns:
        Mean badness; the range of the seen numbers where there is none.
    """
    found = badness(metric, entries)
    return float(np.ptp(numbers)) if found is None else float(np.mean(found))


def certainly_missed(metric: Metric, entries: Array, *, n: int, required: float) -> bool:
    """Return whether ``required`` is missed on ``n`` samples whatever the ``n - len(entries)`` others give.

    They are given the best entry there is, and the metric's own value is judged; False where there is no best entry.

    Args:
        metric: Any metric with per-sample entries.
        entries: Finite entries of the samples seen.
        n: Number of samples of the full set.
        required: Value to reach.
    """
    best = _best_entry(metric)
    if best is None:
        return False
    rest = np.full(n - len(entries), best, entries.dtype)
    value = metric.reduction.value(np.concatenate([entries, rest]))
    return not meets(value, required, metric.direction)


def _best_entry(metric: Metric) -> float | None:
    match metric.reduction:
        case MeanOf(best=best):
            return best
        case RootMeanSquare() | Percentile():
            return 0.0
        case _:
            return None
