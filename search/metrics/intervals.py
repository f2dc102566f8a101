"""How sure a value and a difference are: two-sided 95 % intervals, and the bound that ``--confidence`` asks for.

    value        Wilson for right-or-wrong metrics, else percentile bootstrap
    difference   chosen - float on the same samples: Newcombe paired, else paired bootstrap; none for fidelity metrics
    bound        float + the worse one-sided bound of the difference (Tango for right-or-wrong metrics, else bootstrap);
             for fidelity metrics the bound of the value

miou keeps sums only, and the bootstrap of a maximum never exceeds it: both have no interval, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.metrics.bootstrap import bootstrap, bootstrap_difference
from search.metrics.metric import NON_FINITE, Metric, MetricValue
from search.metrics.part import Part, merge
from search.metrics.proportions import Limits, PairedCounts, newcombe_paired, tango_lower, wilson
from search.metrics.reductions import Direction, Percentile

NO_ENTRIES = "only sums are kept, not one number per sample"
NO_MAXIMUM = "a maximum has no bootstrap interval"
NO_FLOAT = "compares with the float outputs, so there is no float value"
UNDEFINED_RESAMPLES = "undefined for some resamples"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval with its method, or neither and the reason."""

    limits: Limits | None
    method: str | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """chosen - float with its interval; None with the reason where there is none."""

    value: float | None
    limits: Limits | None
    method: str | None
    reason: str | None = None


def value_interval(metric: Metric, parts: Sequence[Part], *, seed: int = 0, confidence: float = 0.95) -> Interval:
    """Return the two-sided interval of the value of ``parts``.

    Args:
        metric: What was measured.
        parts: All samples.
        seed: Of the bootstrap.
        confidence: Two-sided, in (0, 1).
    """
    reason = _why_none(metric, parts)
    if reason is not None:
        return Interval(limits=None, method=None, reason=reason)
    entries = _entries(parts)
    if metric.is_rate:
        right = int(np.count_nonzero(entries))
        return Interval(limits=wilson(right, len(entries), confidence=confidence), method="wilson")
    limits = bootstrap(metric, entries, seed=seed, confidence=confidence)
    if limits is None:
        return Interval(limits=None, method=None, reason=UNDEFINED_RESAMPLES)
    return Interval(limits=limits, method="bootstrap")


def paired_difference(
    metric: Metric, chosen: Sequence[Part], reference: Sequence[Part], *, seed: int = 0, confidence: float = 0.95
) -> Difference:
    """Return chosen - float with its two-sided interval.

    Args:
        metric: What was measured.
        chosen: All samples of the candidate.
        reference: The same samples of the float model, in the same order.
        seed: Of the bootstrap.
        confidence: Two-sided, in (0, 1).

    Raises:
        ValueError: If the two hold different numbers of samples.
    """
    if metric.is_fidelity:
        return Difference(value=None, limits=None, method=None, reason=NO_FLOAT)
    one, two = metric.result(chosen), metric.result(reference)
    if one.value is None or two.value is None:
        return Difference(value=None, limits=None, method=None, reason=one.reason or two.reason)
    value = one.value - two.value
    reason = _why_none(metric, chosen)
    if reason is not None:
        return Difference(value=value, limits=None, method=None, reason=reason)
    first, second = _entries(chosen), _entries(reference)
    _check_paired(first, second)
    if metric.is_rate:
        counts = _paired_counts(first, second)
        limits = newcombe_paired(counts, confidence=confidence)
        # From counts, so that the value has no rounding of two shares in it.
        value = (counts.only_first - counts.only_second) / counts.n
        return Difference(value=value, limits=limits, method="newcombe_paired")
    resampled = bootstrap_difference(metric, first, second, seed=seed, confidence=confidence)
    if resampled is None:
        return Difference(value=value, limits=None, method=None, reason=UNDEFINED_RESAMPLES)
    return Difference(value=value, limits=resampled, method="bootstrap_paired")


def confident_value(
    metric: Metric, chosen: Sequence[Part], reference: Sequence[Part] | None, *, confidence: float, seed: int = 0
) -> MetricValue:
    """Return the value that the candidate reaches with one-sided ``confidence``; compare it with ``required``.

    Args:
        metric: What was measured.
        chosen: All samples of the candidate.
        reference: The same samples of the float model; None for fidelity metrics only.
        confidence: One-sided, in (0.5, 1).
        seed: Of the bootstrap.

    Raises:
        ValueError: If the confidence is out of range, or a paired metric has no reference.
    """
    if not 0.5 < confidence < 1:
        raise ValueError(f"A one-sided confidence must be between 0.5 and 1, got {confidence}.")
    two_sided = 2 * confidence - 1
    if metric.is_fidelity:
        interval = value_interval(metric, chosen, seed=seed, confidence=two_sided)
        return _worse(interval.limits, 0.0, metric.direction, interval.reason)
    if reference is None:
        raise ValueError(f"Metric {metric.name!r} is paired with the float model's results.")
    if metric.is_rate:
        return _confident_rate(metric, chosen, reference, confidence=confidence)
    difference = paired_difference(metric, chosen, reference, seed=seed, confidence=two_sided)
    base = metric.value(reference)
    return _worse(difference.limits, 0.0 if base is None else base, metric.direction, difference.reason)


def _confident_rate(
    metric: Metric, chosen: Sequence[Part], reference: Sequence[Part], *, confidence: float
) -> MetricValue:
    one, two = metric.result(chosen), metric.result(reference)
    if one.value is None or two.value is None:
        return MetricValue(None, one.reason or two.reason)
    first, second = _entries(chosen), _entries(reference)
    _check_paired(first, second)
    return MetricValue(two.value + tango_lower(_paired_counts(first, second), confidence=confidence))


def _worse(limits: Limits | None, base: float, direction: Direction, reason: str | None) -> MetricValue:
    if limits is None:
        return MetricValue(None, reason)
    return MetricValue(base + (limits.low if direction == "higher" else limits.high))


def _why_none(metric: Metric, parts: Sequence[Part]) -> str | None:
    result = metric.result(parts)
    if result.value is None:
        return result.reason or NON_FINITE
    if merge(parts).values is None:
        return NO_ENTRIES
    if metric.reduction == Percentile(100.0):
        return NO_MAXIMUM
    return None


def _entries(parts: Sequence[Part]) -> Array:
    values = merge(parts).values
    assert values is not None
    return values


def _check_paired(first: Array, second: Array) -> None:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} samples of the candidate cannot be paired with {len(second)} of float.")


def _paired_counts(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> PairedCounts:
    both = int(np.count_nonzero(first & second))
    only_first = int(np.count_nonzero(first & ~second))
    only_second = int(np.count_nonzero(~first & second))
    return PairedCounts(
        both=both, only_first=only_first, only_second=only_second, neither=len(first) - both - only_first - only_second
    )
