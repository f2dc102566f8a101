"""The goals of a study against one candidate: values, verdict, and the early no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.metrics.goal_check import meets, shortfall
from search.metrics.intervals import confident_value
from search.metrics.metric import Metric
from search.metrics.part import Part, merge
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

    def is_met(self, parts: Sequence[Part]) -> bool:
        """Whether the full set reaches the goal."""
        return meets(self.judged(parts), self.required, self.metric.direction)

    def judged(self, parts: Sequence[Part]) -> float | None:
        """The number that must reach ``required``: the value, or its one-sided bound where a confidence is asked."""
        return self.value(parts) if self.confidence is None else self._bound(parts, self.confidence)

    def _bound(self, parts: Sequence[Part], confidence: float) -> float | None:
        reference = None if self.float_part is None else [self.float_part]
        return confident_value(self.metric, parts, reference, confidence=confidence).value

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
