"""The front of a study: complete trials that no other complete trial beats in both cost and accuracy.

``a`` beats ``b`` if it is no worse in cost and in every value, and better in one of them; of equals the earlier one
stays. Which values are better follows from the spec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from search.spec.goals import Goal
from search.spec.metric_names import METRICS
from service.store.db import trials
from service.store.db.pages import MAX_PAGE
from service.store.db.studies import Study
from service.store.db.trials import TrialRow

COMPLETE = ("met", "not_met")


def front_of(connection: Connection, study: Study) -> list[TrialRow]:
    """Return the front of the trials stored so far, cheapest first."""
    return front(_complete(connection, study), lower_goals(study.spec))


def front(rows: Iterable[TrialRow], lower: frozenset[str]) -> list[TrialRow]:
    """Return the rows that no other beats, cheapest first.

    Args:
        rows: Complete trials.
        lower: Metric names whose values are better when lower.
    """
    kept: list[TrialRow] = []
    for row in sorted(rows, key=lambda row: (row.cost, row.no)):
        scores = _scores(row, lower)
        # Whoever could beat this one is no dearer, so it was seen before it, or has its cost and comes right after.
        if not any(_is_no_worse(_scores(other, lower), scores) for other in kept):
            kept = [one for one in kept if not (one.cost == row.cost and _is_no_worse(scores, _scores(one, lower)))]
            kept.append(row)
    return kept


def lower_goals(spec: Mapping[str, Any]) -> frozenset[str]:
    """Return the metric names of a spec whose values are better when lower, and those of the defaults."""
    given = {goal.metric for goal in map(Goal.model_validate, _goals(spec)) if goal.direction == "lower"}
    return frozenset(given | {name for name, metric in METRICS.items() if metric.direction == "lower"})


def _goals(spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = spec.get("goal") or ()
    return found if isinstance(found, list | tuple) else ()


def _complete(connection: Connection, study: Study) -> Iterable[TrialRow]:
    for verdict in COMPLETE:
        cursor = None
        while True:
            page = trials.page(
                connection, study.tenant_id, study.id, order="cost", verdict=verdict, cursor=cursor, limit=MAX_PAGE
            )
            yield from page.rows
            cursor = page.next
            if cursor is None:
                break


def _scores(row: TrialRow, lower: frozenset[str]) -> tuple[float, ...]:
    """Values by goal, turned so that higher is better."""
    found = []
    for goal, value in sorted(row.values.items()):
        sign = -1.0 if goal.rpartition("@")[0] in lower or goal in lower else 1.0
        found.append(float("-inf") if value is None else sign * value)
    return tuple(found)


def _is_no_worse(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(x >= y for x, y in zip(a, b, strict=True))
