"""The front of a study as far as it has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from search.records.front import front
from search.records.trial import TrialRecord
from search.records.verdict import Verdict
from search.spec.goals import Goal
from search.spec.metric_names import METRICS
from service.store.db import trials
from service.store.db.pages import MAX_PAGE
from service.store.db.studies import Study


def front_of(connection: Connection, study: Study) -> tuple[TrialRecord, ...]:
    """Return the front of the trials stored so far, cheapest first."""
    return front_among(list(_complete(connection, study)), study.spec)


def front_among(records: Sequence[TrialRecord], spec: Mapping[str, Any]) -> tuple[TrialRecord, ...]:
    """Return those trials of a study of this spec that none of the others beats, cheapest first."""
    names = lower_metrics(spec)
    goals = {goal for record in records for goal in record.seen}
    return front(records, {goal for goal in goals if goal.rpartition("@")[0] in names or goal in names})


def lower_metrics(spec: Mapping[str, Any]) -> frozenset[str]:
    """Return the metric names of a spec whose values are better when lower, and those of the defaults."""
    given = {goal.metric for goal in map(Goal.model_validate, _goals(spec)) if goal.direction == "lower"}
    return frozenset(given | {name for name, metric in METRICS.items() if metric.direction == "lower"})


def _goals(spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = spec.get("goal") or ()
    return found if isinstance(found, list | tuple) else ()


def _complete(connection: Connection, study: Study) -> Iterable[TrialRecord]:
    for verdict in filter(lambda verdict: verdict.is_complete, Verdict):
        cursor = None
        while True:
            page = trials.page(
                connection, study.tenant_id, study.id, order="cost", verdict=verdict, cursor=cursor, limit=MAX_PAGE
            )
            yield from (row.record for row in page.rows)
            cursor = page.next
            if cursor is None:
                break
