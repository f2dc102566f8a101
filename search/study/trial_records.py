"""The trials of a search as they are written."""

from __future__ import annotations

from search.metrics.goal_check import meets
from search.records.trial import Role, TrialRecord
from search.records.verdict import Verdict
from search.strategies.shared.goals import GoalState, values_of
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial

SHORT = 12
"""Digits of an assignment's digest in tables."""


def trial_records(session: TrialSession | None) -> tuple[TrialRecord, ...]:
    """One record per trial, in order."""
    return () if session is None else tuple(trial_record(session, trial) for trial in session.trials)


def trial_record(session: TrialSession, trial: Trial) -> TrialRecord:
    """A trial as it is written."""
    setting = session.setting
    ran_whole = trial.is_complete or trial.verdict is Verdict.INFEASIBLE
    return TrialRecord(
        no=trial.number,
        digest=trial.configuration.digest,
        stage=trial.stage,
        role=_role(session, trial),
        ratio=trial.ratio,
        requested=trial.requested.digest[:SHORT],
        effective=trial.configuration.effective.digest[:SHORT],
        cost=setting.cost.in_unit(trial.cost),
        n_run=trial.n_run,
        n_samples=setting.n_samples,
        seen=dict(trial.values if ran_whole else values_of(setting.goals, trial.parts)),
        estimates=trial.estimates,
        verdict=trial.verdict,
        why=_why(session, trial),
        seconds=trial.seconds,
    )


def _role(session: TrialSession, trial: Trial) -> Role:
    """A bound is its assignment as the chip takes it, without what treats single groups."""
    low, high = session.setting.bounds
    configuration = trial.configuration
    if configuration.treatment.prescale:
        return Role.CANDIDATE
    if configuration.effective == low:
        return Role.ALL_LOW
    return Role.ALL_HIGH if configuration.effective == high else Role.CANDIDATE


def _why(session: TrialSession, trial: Trial) -> str:
    """What the trial was for, and what kept it from being taken."""
    told = [told for told in (trial.why, failure(trial)) if told]
    if trial.verdict is Verdict.NOT_MET:
        told += [reason for goal in session.setting.goals if (reason := _missed(goal, trial))]
    elif trial.verdict is Verdict.REJECTED:
        told += [_ruled_out(goal, trial) for goal in session.setting.goals if goal.id in trial.decided]
    return "; ".join(told)


def _missed(goal: GoalState, trial: Trial) -> str:
    """How a complete trial misses one goal; empty if it meets it by every measure."""
    if gap := goal.shortfall(trial.parts[goal.id]):
        return f"{goal.id} misses by {gap:.6g}"
    if goal.value(trial.parts[goal.id]) is None:
        return f"{goal.id} has no value"
    if not goal.is_reached(trial.parts[goal.id]):
        return f"{goal.id} reaches {goal.required:.6g}, its bound at {goal.confidence:.3g} does not"
    exported = None if trial.exported is None else trial.exported.values.get(goal.id)
    if exported is not None and not meets(exported, goal.required, goal.metric.direction):
        return f"{goal.id} {exported:.6g} as the Q/DQ model misses {goal.required:.6g}"
    return ""


def _ruled_out(goal: GoalState, trial: Trial) -> str:
    """What of the samples seen ruled a goal out."""
    estimate = trial.estimates.get(goal.id)
    seen = goal.value(trial.parts[goal.id])
    shown = "no value" if seen is None else f"{seen:.4g}"
    expected = "" if estimate is None else f", about {estimate.value:.4g} expected of all"
    return f"{goal.id} {shown} on {trial.n_run} samples{expected}: {goal.required:.4g} is out of reach"


def failure(trial: Trial) -> str:
    """Why the chip cannot run the trial; empty if it can."""
    return "" if trial.infeasible is None else trial.infeasible.message
