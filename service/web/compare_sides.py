"""What is compared: whole studies by what they chose, or single trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from search.metrics.proportions import Limits
from search.records.goal import GoalRecord
from search.records.trial import TrialRecord
from service.problems import not_found
from service.store.db import trials
from service.usecases.accounts.principal import Principal
from service.usecases.studies.front import front_among
from service.usecases.studies.groups import groups_of
from service.usecases.studies.intervals import intervals_of
from service.usecases.studies.reading import get_study, get_trial
from service.usecases.studies.results import chosen_of, cost_of, goals_of
from service.web.assignments import precisions_of
from service.web.study_lines import StudyHead, head_of
from service.web.trial_lines import read_records

MOST = 5


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A value with what says how sure it is; ``low`` and ``high`` are None where it has no interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None
    is_estimate: bool = False


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the things that are compared.

    Attributes:
        key: As the address names it: ``<study>`` or ``<study>:<trial>``.
        label: What it is called on the page; unique there.
        study: Its study.
        trial: The trial; None where a study has chosen none.
        cost: Of the trial.
        unit: Of the cost.
        reached: Goal id to what was reached.
        directions: Goal id to ``higher | lower``.
        front: The study's front.
        precisions: Group name to precision; empty where it is not known.
        effort: Evaluations of the study.
        seconds: Search time of the study.
    """

    key: str
    label: str
    study: StudyHead
    trial: int | None
    cost: float | None
    unit: str
    reached: Mapping[str, Reached]
    directions: Mapping[str, str]
    front: tuple[TrialRecord, ...]
    precisions: Mapping[str, str]
    effort: int
    seconds: str


def side_of(connection: Connection, principal: Principal, key: str) -> Side:
    """Return one side.

    Raises:
        ServiceError: ``not-found``, also for another tenant's.
    """
    study_id, _, number = key.partition(":")
    if number and not (number.isascii() and number.isdigit() and len(number) < 10):
        raise not_found("trial")
    study = get_study(connection, principal, study_id)
    n = trials.count(connection, study.id)
    no = int(number) if number else chosen_of(study)
    row = None if no is None else get_trial(connection, principal, study.id, no)
    cost, head = cost_of(study), head_of(study)
    reached = _of_goals(goals_of(study)) if not number else {} if row is None else _of_trial(row.record)
    names = [group.name for group in groups_of(connection, study)] if row is not None else []
    found = () if row is None else precisions_of(row)
    return Side(
        key=key,
        label=f"{head.label} · trial {no}" if number else head.label,
        study=head,
        trial=no,
        cost=cost.chosen if not number else None if row is None else row.record.cost,
        unit=cost.unit,
        reached=reached,
        directions={goal.id: goal.direction for goal in goals_of(study)},
        front=front_among(read_records(connection, study, n), study.spec),
        precisions=dict(zip(names, found, strict=False)),
        effort=n,
        seconds=head.seconds,
    )


def _of_goals(goals: Iterable[GoalRecord]) -> dict[str, Reached]:
    found = {}
    for goal in goals:
        low, high = goal.interval or (None, None)
        found[goal.id] = Reached(value=goal.chosen, low=low, high=high, n=goal.n_samples)
    return found


def _of_trial(record: TrialRecord) -> dict[str, Reached]:
    limits = intervals_of(record)
    return {goal: _reached(record, goal, limits.get(goal)) for goal in record.seen}


def _reached(record: TrialRecord, goal: str, limits: Limits | None) -> Reached:
    """The value of the full set; of a trial that was stopped, its estimate."""
    bounds = record.estimates.get(goal, limits)
    return Reached(
        value=record.expected(goal),
        low=None if bounds is None else bounds.low,
        high=None if bounds is None else bounds.high,
        n=record.n_run,
        is_estimate=not record.is_complete,
    )
