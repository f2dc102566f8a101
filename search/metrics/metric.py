"""A metric: per-sample entries of one range of samples, and one value from the ranges together.

``measure`` runs on a range and gives a small part; ``value`` merges parts. A value is a finite number or None
with a reason, never NaN or an infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search.arrays import Array
from search.errors import InvalidDataError
from search.metrics.part import Part, is_finite, merge
from search.metrics.reductions import Direction, MeanIou, OfRecords, Reduction
from search.metrics.user_metric import UserMetric

Measure = Callable[[Array, Array, Array | None], Array]
"""``(outputs, float outputs, labels) -> entries``; all with samples on axis 0."""

NO_SAMPLES = "no samples"
NON_FINITE = "non-finite outputs"
UNDEFINED = "undefined: the float outputs are all zero, or no class occurs"


@dataclass(frozen=True)
class MetricValue:
    """A finite number, or None and why."""

    value: float | None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric of one output.

    Attributes:
        name: As in a job spec.
        direction: Which way is better.
        needs_labels: Whether it compares with labels.
        is_fidelity: Whether it compares with the float outputs, so that it has no float value of its own.
        is_rate: Whether each sample is right or wrong.
        entries: Entries of one range; ``[n]``, ``[n, k]``, or sums for ``MeanIou``.
        reduction: From entries to the value.
        user: The user's own Python metric, which is measured by ``search.metrics.recorded`` instead of ``entries``.
    """

    name: str
    direction: Direction
    needs_labels: bool
    is_fidelity: bool
    is_rate: bool = False
    entries: Measure
    reduction: Reduction
    user: UserMetric | None = None

    def measure(self, outputs: Array, reference: Array, labels: Array | None) -> Part:
        """Measure one range of samples.

        Args:
            outputs: ``[n, ...]`` of the candidate.
            reference: Float outputs of the same samples, same shape; read by fidelity metrics only.
            labels: Labels of the same samples, checked before by ``check_labels``; None where none are needed.

        Raises:
            InvalidDataError: If labels are missing, or the shapes do not fit each other.
        """
        n = len(outputs)
        if self.needs_labels and labels is None:
            raise InvalidDataError(f"Metric {self.name!r} needs labels, but the data has none under that key.")
        if labels is not None and self.needs_labels and len(labels) != n:
            raise InvalidDataError(f"Metric {self.name!r} got {n} outputs, but {len(labels)} labels.")
        entries = self.entries(outputs, reference, labels)
        if isinstance(self.reduction, MeanIou):
            return Part(n, sums=entries)
        return Part(n, values=entries)

    def value(self, parts: Sequence[Part]) -> float | None:
        """Return the value over all samples of ``parts``, or None where it is undefined."""
        return self.result(parts).value

    def result(self, parts: Sequence[Part]) -> MetricValue:
        """Return the value over all samples of ``parts`` with the reason where there is none.

        The result does not depend on how the samples are split into parts.
        """
        if sum(part.n for part in parts) == 0:
            return MetricValue(None, NO_SAMPLES)
        merged = merge(parts)
        entries = merged.sums if merged.values is None else merged.values
        assert entries is not None
        if not is_finite(entries):
            return MetricValue(None, NON_FINITE)
        if isinstance(self.reduction, OfRecords):
            found = self.reduction.attempt(entries)
            return MetricValue(None, found) if isinstance(found, str) else MetricValue(found)
        value = self.reduction.value(entries)
        return MetricValue(None, UNDEFINED) if value is None else MetricValue(value)
