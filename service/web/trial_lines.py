"""The trials of a study as its pages show them, and the charts made of them: the same as in the report.

A page stays small: of a long study it shows the newest trials and the bounds, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from search.export.report import text
from search.export.report.charts import Chart, cost_plot, estimate_text, ladder
from search.export.report.trials import MarkedTrial, marked
from search.metrics.proportions import Limits
from search.records.goal import GoalRecord
from search.records.trial import TrialRecord
from service.store.db import trials
from service.store.db.pages import MAX_PAGE
from service.store.db.studies import Study
from service.usecases.studies.front import front_among
from service.usecases.studies.intervals import intervals_of
from service.usecases.studies.results import chosen_of, cost_of, goals_seen

CHARTED = 600
"""Most trials in a chart."""
LISTED = 100
"""Most trials in the table under it."""
FIRST = 8
"""Trials at the begin that are always there: bounds and first ratios."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One accuracy of a trial.

    Attributes:
        metric: The goal.
        value: Over the samples that ran.
        interval: Of ``value`` where they are all.
        n: How many ran.
        estimate: Of the full set where they are not all, with its interval.
        gap: How far the value of the full set, or its estimate, is from what is required.
    """

    metric: str
    value: str
    interval: str
    n: str
    estimate: str
    gap: str


@dataclass(frozen=True, kw_only=True)
class TrialEntry:
    """One trial as a step of the search."""

    no: int
    stage: str
    ratio: str
    cost: str
    values: tuple[Value, ...]
    verdict: str
    sign: str
    tone: str
    why: str
    marks: tuple[str, ...]
    seconds: str


@dataclass(frozen=True, kw_only=True)
class SearchView:
    """The search so far.

    Attributes:
        entries: Newest of ``n`` trials, and the first ones, in order.
        ladders: Accuracy trial by trial, one chart per goal.
        costs: Accuracy against cost.
        n: Trials of the study.
        n_charted: Those in the charts.
        metrics: Goal ids in the order of the columns.
    """

    entries: tuple[TrialEntry, ...]
    ladders: tuple[Chart, ...]
    costs: tuple[Chart, ...]
    n: int
    n_charted: int
    metrics: tuple[str, ...]

    @property
    def chart_data(self) -> dict[str, Any]:
        """Chart id to its data."""
        return {chart.id: chart.data for chart in (*self.ladders, *self.costs)}


def search_view(connection: Connection, study: Study) -> SearchView:
    """Return the trials of a study and their charts."""
    n = trials.count(connection, study.id)
    records = read_records(connection, study, n)
    goals, cost = goals_seen(study, records), cost_of(study)
    best = {record.no for record in front_among(records, study.spec)}
    shown = marked(records, chosen=chosen_of(study), front=best, limit=CHARTED + FIRST)
    ladders = [ladder(goal, shown, key=str(k), unit=cost.unit) for k, goal in enumerate(goals)]
    costs = [cost_plot(goal, shown, cost, key=str(k)) for k, goal in enumerate(goals)]
    listed = [*shown[: min(FIRST, max(0, len(shown) - LISTED))], *shown[-LISTED:]]
    return SearchView(
        entries=tuple(entry(trial, goals, cost.unit) for trial in listed),
        ladders=tuple(chart for chart in ladders if chart is not None),
        costs=tuple(chart for chart in costs if chart is not None),
        n=n,
        n_charted=len(shown),
        metrics=tuple(text.clean(goal.id) for goal in goals),
    )


def read_records(connection: Connection, study: Study, n: int) -> tuple[TrialRecord, ...]:
    """Return all ``n`` trials of a study in order; of a long one the first and the newest."""
    newest: list[TrialRecord] = []
    cursor = None
    while len(newest) < CHARTED:
        page = trials.page(connection, study.tenant_id, study.id, order="-no", cursor=cursor, limit=MAX_PAGE)
        newest += (row.record for row in page.rows)
        cursor = page.next
        if cursor is None:
            break
    found = {record.no: record for record in newest[:CHARTED]}
    if n > len(found):
        first = trials.page(connection, study.tenant_id, study.id, limit=FIRST).rows
        found |= {row.record.no: row.record for row in first}
    return tuple(found[no] for no in sorted(found))


def entry(trial: MarkedTrial, goals: Sequence[GoalRecord], unit: str) -> TrialEntry:
    """Return a trial as it is printed."""
    intervals, verdict = intervals_of(trial.record), trial.record.verdict
    return TrialEntry(
        no=trial.no,
        stage=trial.stage,
        ratio=trial.ratio,
        cost=text.cost(trial.cost, unit),
        values=tuple(_value(goal, intervals.get(goal.id), trial) for goal in goals),
        verdict=verdict.label,
        sign=verdict.sign,
        tone=verdict.tone,
        why=trial.why,
        marks=trial.marks,
        seconds=text.seconds(trial.record.seconds),
    )


def _value(goal: GoalRecord, limits: Limits | None, trial: MarkedTrial) -> Value:
    placed = trial.placed(goal.id)
    sign = -1.0 if goal.is_lower_better else 1.0
    gap = None if placed is None or goal.required is None else sign * (placed - goal.required)
    return Value(
        metric=text.clean(goal.id),
        value=text.figure(trial.seen(goal.id)),
        interval="" if limits is None else text.interval((limits.low, limits.high)),
        n=trial.effort,
        estimate=estimate_text(trial.estimate(goal.id)),
        gap="" if gap is None else text.difference(gap),
    )
