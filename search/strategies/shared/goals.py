"""The goals of a study against one candidate: values, verdict, and the early no."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.metrics.goal_check import meets, shortfall
from search.metrics.intervals import confident_value
from search.metrics.metric import Metric
from search.metrics.part import Part, merge
from search.metrics.recorded import checked_value
from search.metrics.sequential import early_verdict

COLLAPSED_SHARE = 0.5  # of the float value; of the requirement where there is none
COLLAPSED_ERROR = 10.0  # times the requirement
COLLAPSED_DB = 3.0  # half of the power is noise


@dataclass(frozen=True, eq=False)
class GoalState:
    """One goal with what the float model gave.

    Attributes:
        id: ``name@output``.
        metric: What is measured.
        output: Model output.
        required: Value to reach.
        float_value: Value of the float model; None for fidelity metrics.
        float_part: Its per-sample results in the order of the study; None for fidelity metrics.
        ranking: Error that ranks this output's points.
        margins: Margins of the float model where the metric has them, of the first samples of the order.
        confidence: Level of the one-sided bound that must reach ``required``; None for the point estimate.
    """

    id: str
    metric: Metric
    output: str
    required: float
    float_value: float | None
    float_part: Part | None
    ranking: str
    margins: npt.NDArray[np.float32] | None = None
    confidence: float | None = None

    def value(self, parts: Sequence[Part]) -> float | None:
        """Value over all samples of ``parts``."""
        return self.metric.value(parts)

    def check_value(self, parts: Sequence[Part]) -> None:
        """Refuse a metric of the user's own that gives no value for all samples.

        Raises:
            MetricFailedError: Says what it did.
        """
        checked_value(self.metric, parts)

    def is_met(self, parts: Sequence[Part], *, n: int) -> bool:
        """Whether the full set of ``n`` samples reaches the goal: fewer samples never do."""
        return samples_of(parts) >= n and self.is_reached(parts)

    def is_reached(self, parts: Sequence[Part]) -> bool:
        """Whether the samples of ``parts`` alone reach the goal, however few they are."""
        return meets(self.judged(parts), self.required, self.metric.direction)

    def judged(self, parts: Sequence[Part], *, n: int | None = None) -> float | None:
        """The number that must reach ``required``: the value, or its one-sided bound where a confidence is asked.

        Args:
            parts: Samples from the first one on; the bound pairs them with the same samples of the float model.
            n: Size of the full set, where the bound that these samples make expect there is wanted: its distance
                from the value shrinks with the root of the number of samples.
        """
        value = self.value(parts)
        if self.confidence is None or value is None:
            return value
        bound = self._bound(parts, self.confidence)
        if bound is None or n is None:
            return bound
        return value + (bound - value) * math.sqrt(min(1.0, samples_of(parts) / n))

    def _bound(self, parts: Sequence[Part], confidence: float) -> float | None:
        reference = self.float_part
        if reference is not None and reference.values is not None:
            reference = reference.first(samples_of(parts))
        return confident_value(
            self.metric, parts, None if reference is None else [reference], confidence=confidence
        ).value

    def float_rest(self, n: int) -> tuple[Part, ...]:
        """What the float model gives on all samples but the first ``n``."""
        if self.float_part is None or self.float_part.values is None or n >= self.float_part.n:
            return ()
        return (Part(self.float_part.n - n, values=self.float_part.values[n:]),)

    def shortfall(self, parts: Sequence[Part]) -> float | None:
        """How far the value is from the requirement."""
        return shortfall(self.value(parts), self.required, self.metric.direction)

    def is_collapsed(self, parts: Sequence[Part]) -> bool:
        """Whether the value is so bad that single points say little about the whole; see docs/search.md."""
        value = self.value(parts)
        if value is None:
            return True
        if self.metric.direction == "lower":
            return value > COLLAPSED_ERROR * max(self.required, self.float_value or 0.0)
        if self.metric.name == "sqnr_db":
            return value < COLLAPSED_DB
        return value < COLLAPSED_SHARE * (self.required if self.float_value is None else self.float_value)

    def is_hopeless(self, parts: Sequence[Part], *, n: int, looks: int) -> bool:
        """Whether the samples seen so far rule the goal out."""
        verdict = early_verdict(
            self.metric, merge(parts), n=n, required=self.required, looks=looks, reference=self.float_part
        )
        return verdict.reject


def samples_of(parts: Sequence[Part]) -> int:
    """How many samples ``parts`` hold together."""
    return sum(part.n for part in parts)


def values_of(goals: Sequence[GoalState], parts: Mapping[str, Sequence[Part]]) -> dict[str, float | None]:
    """Value of every goal."""
    return {goal.id: goal.value(parts[goal.id]) for goal in goals}


def total_shortfall(values: Mapping[str, float | None], goals: Sequence[GoalState]) -> float:
    """Sum over goals of the shortfall relative to the requirement; undefined values count as a whole."""
    total = 0.0
    for goal in goals:
        gap = shortfall(values[goal.id], goal.required, goal.metric.direction)
        total += 1.0 if gap is None else gap / max(abs(goal.required), 1e-12)
    return total


def distance(
    values: Mapping[str, float | None], parts: Mapping[str, Sequence[Part]], goals: Sequence[GoalState]
) -> float:
    """How far a trial is from meeting every goal: the sum of shortfalls relative to the requirements.

    Args:
        values: Goal id to value; of a trial that was stopped early what the samples seen make expect.
        parts: Goal id to the samples seen; where a confidence is asked their bound counts, not the value.
        goals: All of them. An undefined value is infinitely far away.
    """
    total = 0.0
    for goal in goals:
        value = values[goal.id] if goal.confidence is None else goal.judged(parts[goal.id])
        gap = shortfall(value, goal.required, goal.metric.direction)
        total += math.inf if gap is None else gap / max(abs(goal.required), 1e-12)
    return total
