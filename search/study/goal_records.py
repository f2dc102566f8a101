"""The goals of a study with what became of them: every value beside what was required of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from search.metrics.intervals import paired_difference, value_interval
from search.metrics.loss import NO_FLOAT, quantization_loss
from search.metrics.part import Part
from search.records.goal import Difference, GoalRecord, Loss, certainty_of
from search.spec.goals import ALL_OUTPUTS
from search.strategies.shared.goals import GoalState
from search.study.plan import Finished
from search.study.values import unmeasured_goals, value_from
from search.work.problem import Problem


def goal_records(problem: Problem, finished: Finished) -> tuple[GoalRecord, ...]:
    """One record per goal; without evaluation data every value is None."""
    goals = finished.session.setting.goals if finished.session is not None else ()
    return (*(_measured(finished, goal) for goal in goals), *_unmeasured(problem, finished))


def _measured(finished: Finished, goal: GoalState) -> GoalRecord:
    chosen = finished.chosen
    parts = None if chosen is None else list(chosen.parts[goal.id])
    interval = None if parts is None else value_interval(goal.metric, parts)
    limits = None if interval is None else interval.limits
    found = GoalRecord(
        id=goal.id,
        name=goal.metric.name,
        output=goal.output,
        direction=goal.metric.direction,
        evaluator="fake_quant" if finished.session is None else finished.session.setting.evaluator,
        float_value=goal.float_value,
        required=goal.required,
        all_low=_bound(finished, goal, 0),
        all_high=_bound(finished, goal, 1),
        chosen=None if parts is None else goal.value(parts),
        qdq=value_from(goal, finished.results.recheck),
        qdq_unoptimized=value_from(goal, finished.results.unoptimized),
        confirmed=value_from(goal, finished.results.confirm),
        interval=None if limits is None else (limits.low, limits.high),
        interval_method=None if interval is None else interval.method,
        difference=_difference(goal, parts),
        loss=_loss(goal, parts),
        n_samples=finished.session.setting.n_samples if finished.session is not None else 0,
        shortfall=None if parts is None else goal.shortfall(parts),
        reason=None if parts is None else goal.metric.result(parts).reason,
    )
    return replace(found, certainty=certainty_of(found))


def _unmeasured(problem: Problem, finished: Finished) -> tuple[GoalRecord, ...]:
    """Goals of a run without evaluation data: every value None."""
    if finished.described is None:
        return ()
    return tuple(
        GoalRecord(
            id=goal.id,
            name=goal.metric,
            output=goal.output or ALL_OUTPUTS,
            direction=goal.direction,
            evaluator=problem.evaluator,
            loss=Loss(None, NO_FLOAT),
            n_samples=0,
            reason="not evaluated: there is no evaluation data",
        )
        for goal in unmeasured_goals(problem, finished.described.check)
    )


def _loss(goal: GoalState, parts: Sequence[Part] | None) -> Loss:
    """The chip tools' loss: distance to float in percent of the float value."""
    found = quantization_loss(None if parts is None else goal.value(parts), goal.float_value)
    return Loss(found.value, found.reason)


def _bound(finished: Finished, goal: GoalState, which: int) -> float | None:
    """Value of ``all_low`` (0) or ``all_high`` (1) where it was evaluated in full."""
    if finished.session is None:
        return None
    wanted = finished.session.setting.bounds[which]
    first = [] if finished.chosen is None else [finished.chosen]  # of several with this assignment the one that counts
    for trial in (*first, *finished.session.trials):
        if trial.is_complete and trial.configuration.effective == wanted and not trial.configuration.treatment.prescale:
            return trial.values[goal.id]
    return None


def _difference(goal: GoalState, parts: Sequence[Part] | None) -> Difference | None:
    if parts is None or goal.float_part is None:
        return None
    found = paired_difference(goal.metric, parts, [goal.float_part])
    limits = None if found.limits is None else (found.limits.low, found.limits.high)
    return Difference(found.value, limits, found.method)
