"""The metrics of the report: float, required, chosen with its interval, exported, difference, shortfall.

``shortfall = required - value`` for scores and ``value - required`` for errors, of the worse of chosen and exported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.export.report import text
from search.records.goal import GoalRecord
from search.records.verdict import Tone

SMALLEST = 1e-12
"""Width of an interval that has none."""


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Positions of one metric on a line from worst (0) to best (100); None where a value does not exist."""

    required: float | None
    float_: float | None
    chosen: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class MetricRow:
    """One metric as printed; ``state`` is ``met | unsure | missed | open``."""

    id: str
    direction: str
    evaluator: str
    float_: str
    required: str
    chosen: str
    interval: str
    n_samples: str
    qdq: str
    between: str
    unoptimized: str
    confirmed: str
    difference: str
    difference_interval: str
    state: str
    shortfall: str
    reason: str
    strip: Strip | None


def tightest_first(goals: Sequence[GoalRecord]) -> list[GoalRecord]:
    """Return the goals by their room above what is required, in units of their intervals; unknown ones last."""
    return sorted(goals, key=_room)


def _room(goal: GoalRecord) -> float:
    width = abs(goal.required or 0.0) if goal.interval is None else max(goal.interval) - min(goal.interval)
    return math.inf if goal.missing is None else -goal.missing / max(width, SMALLEST)


def metric_rows(goals: Sequence[GoalRecord]) -> tuple[MetricRow, ...]:
    """Return the printed rows of the goals."""
    return tuple(_metric_row(goal) for goal in goals)


def _metric_row(goal: GoalRecord) -> MetricRow:
    missing, difference = goal.missing, goal.difference
    return MetricRow(
        id=text.clean(goal.id),
        direction=f"{'lower' if goal.is_lower_better else 'higher'} is better",
        evaluator=_EVALUATORS.get(goal.evaluator, ""),
        float_=text.figure(goal.float_value),
        required=("≤ " if goal.is_lower_better else "≥ ") + text.figure(goal.required),
        chosen=text.figure(goal.chosen),
        interval=text.interval(goal.interval),
        n_samples=text.count(goal.n_samples),
        qdq=text.figure(goal.qdq),
        between=_between(goal),
        unoptimized="" if goal.qdq_unoptimized is None else text.figure(goal.qdq_unoptimized),
        confirmed="" if goal.confirmed is None else text.figure(goal.confirmed),
        difference=text.difference(None if difference is None else difference.value),
        difference_interval="" if difference is None else text.interval(difference.interval, signed=True),
        state=_STATES[goal.tone],
        shortfall=text.gap(missing) if missing is not None and missing > 0 else "",
        reason=text.sentence(goal.reason or ""),
        strip=_strip(goal),
    )


_EVALUATORS = {"integer": "in integers", "fake_quant": "as Q/DQ"}
_STATES: dict[Tone, str] = {"good": "met", "fair": "unsure", "bad": "missed", "open": "open"}


def _between(goal: GoalRecord) -> str:
    """How far the Q/DQ model is from the integers; empty where both are the same evaluator."""
    if goal.evaluator != "integer" or goal.chosen is None or goal.qdq is None:
        return ""
    return text.difference(goal.qdq - goal.chosen)


def _strip(goal: GoalRecord) -> Strip | None:
    low, high = goal.interval or (None, None)
    values = (low, high, goal.float_value, goal.required, goal.chosen)
    known = [found for value in values if (found := text.finite(value)) is not None]
    if goal.chosen is None or len(known) < 2 or min(known) == max(known):
        return None
    start, stop = min(known), max(known)
    if goal.is_lower_better:
        start, stop = stop, start

    def place(value: float | None) -> float | None:
        return None if text.finite(value) is None else round(6 + 88 * ((value or 0.0) - start) / (stop - start), 2)

    ends = sorted(end for end in (place(low), place(high)) if end is not None)
    return Strip(
        required=place(goal.required),
        float_=place(goal.float_value),
        chosen=place(goal.chosen),
        low=ends[0] if len(ends) == 2 else None,
        high=ends[1] if len(ends) == 2 else None,
    )
