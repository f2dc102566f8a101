"""A goal and what became of it: what was required, what float gives, what was reached and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from search.records.document import key
from search.records.verdict import Tone

Interval = tuple[float, float]


class Certainty(StrEnum):
    """What the 95 % interval of the value says about the verdict of a goal."""

    MET = "met"  #: all of it reaches what is required
    BOUND_MISSES = "bound_misses"  #: the value reaches it, the worse end of the interval does not
    BOUND_REACHES = "bound_reaches"  #: the value misses it, the better end of the interval does not
    NOT_MET = "not_met"  #: all of it misses


@dataclass(frozen=True, slots=True)
class Difference:
    """Chosen minus float, paired over the samples; ``interval`` is that of 95 %."""

    value: float | None
    interval: Interval | None
    method: str | None


@dataclass(frozen=True, slots=True)
class Loss:
    """The chip tools' loss: distance to float in percent of the float value; None with a reason."""

    percent: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalRecord:
    """One goal.

    Attributes:
        id: ``name@output``.
        name: The metric.
        output: Model output, or a slice of one.
        direction: ``higher | lower``: which values are better.
        evaluator: ``integer | fake_quant``: by what ``chosen`` was measured.
        float_value: Value of the float model; None for fidelity metrics.
        required: Value to reach.
        all_low: Value of the lower bound where it ran in full.
        all_high: Value of the upper bound where it ran in full.
        chosen: Value of the delivered assignment by the evaluator of record.
        qdq: Value of the delivered file.
        qdq_unoptimized: The same with every optimization off.
        confirmed: Value on samples that the search never saw.
        interval: 95 % interval of ``chosen``.
        interval_method: Its formula.
        difference: To float.
        certainty: What the interval says about the verdict; None where there is no interval.
        loss: To float, in percent.
        n_samples: Of the evaluation set.
        shortfall: How far ``chosen`` is from the requirement, 0 if it reaches it.
        reason: Why a value is missing.
    """

    id: str
    name: str = ""
    output: str = ""
    direction: str = "higher"
    evaluator: str = ""
    float_value: float | None = key("float", default=None)
    required: float | None = None
    all_low: float | None = None
    all_high: float | None = None
    chosen: float | None = None
    qdq: float | None = None
    qdq_unoptimized: float | None = None
    confirmed: float | None = None
    interval: Interval | None = None
    interval_method: str | None = None
    difference: Difference | None = None
    certainty: Certainty | None = None
    loss: Loss | None = None
    n_samples: int | None = None
    shortfall: float | None = None
    reason: str | None = None

    @property
    def is_lower_better(self) -> bool:
        """Whether small values are good."""
        return self.direction == "lower"

    @property
    def missing(self) -> float | None:
        """How far the worse of ``chosen`` and ``qdq`` misses ``required``; negative if met, None if not known."""
        values = [value for value in (self.chosen, self.qdq) if value is not None]
        if self.required is None or not values:
            return None
        sign = -1.0 if self.is_lower_better else 1.0
        return max(sign * (self.required - value) for value in values)

    @property
    def tone(self) -> Tone:
        """What chooses its colour: reached for sure, reached, missed, not known."""
        if self.missing is None:
            return "open"
        if self.missing > 0:
            return "bad"
        return "fair" if self.certainty is Certainty.BOUND_MISSES else "good"


def certainty_of(goal: GoalRecord) -> Certainty | None:
    """Compare the interval with what is required.

    For goals with a float value the interval is that of the paired difference against the room the goal leaves,
    ``required - float``: how hard the samples are is common to both and does not count.
    """
    if goal.required is None or goal.chosen is None or goal.missing is None:
        return None
    paired = goal.difference is not None and goal.difference.interval is not None and goal.float_value is not None
    ends, limit = goal.interval, goal.required
    if paired:
        assert goal.difference is not None
        assert goal.float_value is not None
        ends, limit = goal.difference.interval, goal.required - goal.float_value
    if ends is None:
        return None
    sign = -1.0 if goal.is_lower_better else 1.0
    worse, better = sorted(sign * (end - limit) for end in ends)
    if goal.missing <= 0:
        return Certainty.MET if worse >= 0 else Certainty.BOUND_MISSES
    return Certainty.NOT_MET if better < 0 else Certainty.BOUND_REACHES
