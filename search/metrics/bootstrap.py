"""Percentile bootstrap: the spread of a value when samples are drawn again with replacement, from a seed.

The limits are quantiles of ``RESAMPLES`` values, of ``RECORD_RESAMPLES`` where each calls a function of the user's own.
Paired differences draw the same samples for both sides.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.metrics.metric import Metric
from search.metrics.proportions import Limits
from search.metrics.reductions import OfRecords

RESAMPLES = 2000
RECORD_RESAMPLES = 400

Entries = Array


def bootstrap(metric: Metric, entries: Entries, *, seed: int, confidence: float = 0.95) -> Limits | None:
    """Return the two-sided interval of the metric's value, or None where resamples leave it undefined.

    Args:
        metric: Any metric with per-sample entries.
        entries: Finite entries, samples on axis 0.
        seed: Of the resamples; equal seeds give equal limits.
        confidence: Two-sided, in (0, 1).
    """
    rng = np.random.default_rng(seed)
    values = [_resampled(metric, entries[_draw(rng, len(entries))]) for _ in range(_resamples(metric))]
    return _limits(np.array(values), confidence)


def bootstrap_difference(
    metric: Metric, first: Entries, second: Entries, *, seed: int, confidence: float = 0.95
) -> Limits | None:
    """Return the two-sided interval of value(first) - value(second) on the same samples, or None where undefined."""
    rng = np.random.default_rng(seed)
    values = np.empty(_resamples(metric))
    for i in range(len(values)):
        drawn = _draw(rng, len(first))
        values[i] = _resampled(metric, first[drawn]) - _resampled(metric, second[drawn])
    return _limits(values, confidence)


def _resamples(metric: Metric) -> int:
    return RECORD_RESAMPLES if isinstance(metric.reduction, OfRecords) else RESAMPLES


def _draw(rng: np.random.Generator, n: int) -> npt.NDArray[np.int64]:
    return rng.integers(n, size=n)


def _resampled(metric: Metric, entries: Entries) -> float:
    value = metric.reduction.value(entries, exact=False)
    return np.nan if value is None else value


def _limits(values: npt.NDArray[np.float64], confidence: float) -> Limits | None:
    if not np.isfinite(values).all():
        return None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Limits(float(low), float(high))
