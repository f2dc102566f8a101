"""What is compared: whole studies by what they chose, or single trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from search.export.report import text
from search.export.report.trials import read_trials
from service.problems import not_found
from service.store.db import trials
from service.store.db.studies import Study
from service.store.db.trials import TrialRow
from service.usecases.accounts.principal import Principal
from service.usecases.studies.groups import groups_of
from service.usecases.studies.intervals import intervals_of
from service.usecases.studies.reading import get_study, get_trial
from service.web.assignments import precisions_of
from service.web.study_lines import StudyHead, head_of
from service.web.trial_lines import as_line, judged, on_front, read_rows

MOST = 5


@dataclass(frozen=True, kw_only=True)
class Reached:
    """A value with what says how sure it is; ``low`` and ``high`` are None where it has no interval."""

    value: float | None
    low: float | None
    high: float | None
    n: int | None


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
        front: The study's front: trial, cost, values.
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
    front: tuple[TrialRow, ...]
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
    rows = read_rows(connection, study, n)
    no = int(number) if number else _chosen(study, rows)
    row = None if no is None else get_trial(connection, principal, study.id, no)
    facts, best = judged(study), on_front(study, rows)
    head = head_of(study)
    reached = _of_result(study) if not number else {} if row is None else _of_trial(row)
    names = [group.name for group in groups_of(connection, study)] if row is not None else []
    found = () if row is None else precisions_of(row)
    cost = row.cost if row is not None else None
    if not number:
        cost = text.finite((study.result or {}).get("cost", {}).get("chosen"))
    return Side(
        key=key,
        label=f"{head.label} · trial {no}" if number else head.label,
        study=head,
        trial=no,
        cost=cost,
        unit=facts.unit,
        reached=reached,
        directions={str(metric.get("id")): str(metric.get("direction", "higher")) for metric in facts.metrics},
        front=tuple(row for row in rows if row.no in best),
        precisions=dict(zip(names, found, strict=False)),
        effort=n,
        seconds=head.seconds,
    )


def _chosen(study: Study, rows: list[TrialRow]) -> int | None:
    """The trial whose cost and values are those of the result."""
    if not study.result:
        return None
    lines = read_trials(study.result, [as_line(row, None) for row in rows], limit=len(rows) or 1)
    return next((line.number for line in lines if line.chosen), None)


def _of_result(study: Study) -> dict[str, Reached]:
    found = {}
    for metric in (study.result or {}).get("metrics") or ():
        low, high = metric.get("interval") or (None, None)
        n = text.finite(metric.get("n_samples"))
        found[str(metric.get("id"))] = Reached(
            value=text.finite(metric.get("chosen")),
            low=text.finite(low),
            high=text.finite(high),
            n=None if n is None else int(n),
        )
    return found


def _of_trial(row: TrialRow) -> dict[str, Reached]:
    limits = intervals_of(row)
    return {name: _reached(row, name, limits.get(name)) for name in row.values}


def _reached(row: TrialRow, name: str, limits: Any) -> Reached:
    return Reached(
        value=row.values[name],
        low=None if limits is None else limits.low,
        high=None if limits is None else limits.high,
        n=row.n_run,
    )
