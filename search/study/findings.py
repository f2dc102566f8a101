"""All findings of a finished study, most serious first."""

from __future__ import annotations

from collections.abc import Iterator

from search.diagnosis.findings import Finding
from search.diagnosis.goal import goal_findings
from search.diagnosis.model import model_findings
from search.diagnosis.ranges import range_findings
from search.diagnosis.tables import both_sides_findings, tail_findings
from search.strategies.trial import Trial
from search.study.plan import Finished, goals_above_float
from search.study.problem import Problem
from search.study.values import value_from

_ORDER = {"error": 0, "warning": 1, "note": 2}


def findings_of(problem: Problem, finished: Finished) -> tuple[Finding, ...]:
    """Everything the study has to say beside its numbers."""
    found = list(_all(problem, finished))
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.severity]))


def _all(problem: Problem, finished: Finished) -> Iterator[Finding]:
    desk, chosen, check = finished.desk, finished.chosen, finished.results.get("check")
    if problem.is_random:
        yield Finding(
            code="random-calibration",
            severity="warning",
            message="Calibrated on random numbers: ranges and accuracy mean nothing, only the flow was run.",
            advice="Give --calibration with real samples.",
        )
    if check is not None:
        yield from model_findings(check.data)
    if desk is None:
        return
    setting = desk.setting
    missed = chosen is not None and not chosen.is_met
    if missed and chosen is not None:
        above = {goal.id for goal in goals_above_float(setting.goals)}
        gaps = {goal.id: (chosen.values[goal.id], goal.required, goal.float_value) for goal in setting.goals}
        short = {goal.id for goal in setting.goals if not goal.is_met(chosen.parts[goal.id])}
        yield from goal_findings(gaps, above=above, short=short)
    yield from tail_findings(desk.table_list)
    yield from both_sides_findings(setting.network, desk.table_list, is_missed=_high_missed(desk.trials))
    yield from range_findings(setting.network, setting.extremes)
    yield from _unoptimized(finished)


def _high_missed(trials: list[Trial]) -> bool:
    """Whether the upper bound, the first trial of every ladder, misses the goal."""
    return bool(trials) and not trials[0].is_met


def _unoptimized(finished: Finished) -> Iterator[Finding]:
    from_recheck, plain = finished.results.get("recheck"), finished.results.get("unoptimized")
    if from_recheck is None or plain is None or finished.desk is None or finished.chosen is None:
        return
    for goal in finished.desk.setting.goals:
        a, b = value_from(goal, from_recheck), value_from(goal, plain)
        if goal.metric.is_rate and a is not None and b is not None and abs(a - b) > 0.003:
            yield Finding(
                code="runtime-optimizations-matter",
                severity="warning",
                message=f"{goal.id} of the exported model is {a:.4f} at the pinned level and {b:.4f} unoptimized.",
                advice="Decisions near the limit depend on summation order; see docs/numerics.md.",
                evidence={"pinned": a, "unoptimized": b},
            )
