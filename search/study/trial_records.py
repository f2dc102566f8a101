"""The trials of a search as they are written."""

from __future__ import annotations

from search.records.trial import Role, TrialRecord
from search.records.verdict import Verdict
from search.strategies.desk import Desk
from search.strategies.goals import values_of
from search.strategies.trial import Trial

SHORT = 12
"""Digits of an assignment's digest in tables."""


def trial_records(desk: Desk | None) -> tuple[TrialRecord, ...]:
    """One record per trial, in order."""
    return () if desk is None else tuple(trial_record(desk, trial) for trial in desk.trials)


def trial_record(desk: Desk, trial: Trial) -> TrialRecord:
    """A trial as it is written."""
    setting = desk.setting
    ran_whole = trial.is_complete or trial.verdict is Verdict.INFEASIBLE
    return TrialRecord(
        no=trial.number,
        digest=trial.configuration.digest,
        stage=trial.stage,
        role=_role(desk, trial),
        ratio=trial.ratio,
        requested=trial.requested.digest[:SHORT],
        effective=trial.configuration.effective.digest[:SHORT],
        cost=setting.cost.in_unit(trial.cost),
        n_run=trial.n_run,
        n_samples=setting.n_samples,
        seen=dict(trial.values if ran_whole else values_of(setting.goals, trial.parts)),
        verdict=trial.verdict,
        why=_why(desk, trial),
        seconds=trial.seconds,
    )


def _role(desk: Desk, trial: Trial) -> Role:
    """A bound is its assignment as the chip takes it, without what treats single groups."""
    low, high = desk.setting.bounds
    configuration = trial.configuration
    if configuration.treatment.prescale:
        return Role.CANDIDATE
    if configuration.effective == low:
        return Role.ALL_LOW
    return Role.ALL_HIGH if configuration.effective == high else Role.CANDIDATE


def _why(desk: Desk, trial: Trial) -> str:
    """What the trial was for, and what kept it from being taken."""
    told = [told for told in (trial.why, failure(trial)) if told]
    for goal in desk.setting.goals:
        gap = goal.shortfall(trial.parts[goal.id])
        if trial.verdict is Verdict.NOT_MET and gap:
            told.append(f"{goal.id} misses by {gap:.6g}")
        elif trial.verdict is Verdict.REJECTED and trial.values[goal.id] is not None:
            told.append(f"{goal.id} {trial.values[goal.id]:.6g} after {trial.n_run} samples rules the goal out")
    return "; ".join(told)


def failure(trial: Trial) -> str:
    """Why the chip cannot run the trial; empty if it can."""
    return "" if trial.infeasible is None else str(trial.infeasible["message"])
