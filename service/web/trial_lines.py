"""The trials of a study as its pages show them, and the charts made of them: the same as in the report.

A page stays small: of a long study it shows the newest trials and the bounds, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from search.export.report import text
from search.export.report.charts import Chart, cost_plot, ladder
from search.export.report.trials import Trial, read_trials
from search.metrics.proportions import Limits
from service.store.db import trials
from service.store.db.pages import MAX_PAGE
from service.store.db.studies import Study
from service.store.db.trials import TrialRow
from service.usecases.studies.front import COMPLETE, front, lower_goals
from service.usecases.studies.intervals import intervals_of

CHARTED = 600
"""Most trials in a chart."""
LISTED = 100
"""Most trials in the table under it."""
FIRST = 8
"""Trials at the begin that are always there: bounds and first ratios."""
_TONES = {"met": "good", "met so far": "good", "missed": "bad", "rejected early": "open", "fail": "bad"}
_SIGNS = {"met": "✓", "met so far": "✓", "missed": "✕", "rejected early": "▽", "fail": "◇"}


@dataclass(frozen=True, kw_only=True)
class Value:
    """One accuracy of a trial: with its interval, or why it has none, and the samples it is over."""

    metric: str
    value: str
    interval: str
    n: str
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


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What trials are judged by: of the result where there is one, else what the worker has told so far."""

    metrics: tuple[Mapping[str, Any], ...]
    cost: Mapping[str, Any]
    n_samples: int | None

    @property
    def unit(self) -> str:
        """``index`` or ``us``."""
        return str(self.cost.get("unit", "index"))


def judged(study: Study) -> Judged:
    """Return goals and bounds of a study as far as they are known."""
    result, progress = study.result or {}, study.progress or {}
    metrics = tuple(result.get("metrics") or progress.get("goals") or ())
    sizes = [metric.get("n_samples") for metric in metrics] + [progress.get("n_samples")]
    known = [int(size) for size in sizes if text.finite(size) is not None]
    cost = result.get("cost") or progress.get("cost") or {}
    return Judged(metrics=metrics, cost=cost, n_samples=max(known, default=None))


def search_view(connection: Connection, study: Study) -> SearchView:
    """Return the trials of a study and their charts."""
    n = trials.count(connection, study.id)
    rows = read_rows(connection, study, n)
    facts = judged(study)
    metrics = facts.metrics or _metrics_of(rows, lower_goals(study.spec))
    best = on_front(study, rows)
    shown = read_trials(
        {"metrics": metrics, "cost": facts.cost, "front": [{"trial": no} for no in best]},
        [as_line(row, facts.n_samples) for row in rows],
        limit=CHARTED + FIRST,
    )
    ladders = [ladder(metric, shown, key=str(k), unit=facts.unit) for k, metric in enumerate(metrics)]
    costs = [cost_plot(metric, shown, facts.cost, key=str(k)) for k, metric in enumerate(metrics)]
    by_no = {row.no: row for row in rows}
    listed = [*shown[: min(FIRST, max(0, len(shown) - LISTED))], *shown[-LISTED:]]
    return SearchView(
        entries=tuple(entry(trial, by_no[trial.number], metrics, facts.unit) for trial in listed),
        ladders=tuple(chart for chart in ladders if chart is not None),
        costs=tuple(chart for chart in costs if chart is not None),
        n=n,
        n_charted=len(shown),
        metrics=tuple(text.clean(metric.get("id")) for metric in metrics),
    )


def on_front(study: Study, rows: Sequence[TrialRow]) -> frozenset[int]:
    """Return the numbers of those trials that none of the others beats."""
    found = front((row for row in rows if row.verdict in COMPLETE), lower_goals(study.spec))
    return frozenset(row.no for row in found)


def read_rows(connection: Connection, study: Study, n: int) -> list[TrialRow]:
    """Return all ``n`` trials of a study in order; of a long one the first and the newest."""
    newest: list[TrialRow] = []
    cursor = None
    while len(newest) < CHARTED:
        page = trials.page(connection, study.tenant_id, study.id, order="-no", cursor=cursor, limit=MAX_PAGE)
        newest += page.rows
        cursor = page.next
        if cursor is None:
            break
    found = {row.no: row for row in newest[:CHARTED]}
    if n > len(found):
        found |= {row.no: row for row in trials.page(connection, study.tenant_id, study.id, limit=FIRST).rows}
    return [found[no] for no in sorted(found)]


def as_line(row: TrialRow, n_samples: int | None) -> dict[str, Any]:
    """Return a trial as the report reads it."""
    return {
        "trial": row.no,
        "stage": row.stage,
        "cost": row.cost,
        "samples": row.n_run,
        "n_samples": n_samples,
        "values": dict(row.values),
        "verdict": row.verdict,
        "why": row.why,
        "ratio": row.ratio,
    }


def entry(trial: Trial, row: TrialRow, metrics: Sequence[Mapping[str, Any]], unit: str) -> TrialEntry:
    """Return a trial as it is printed."""
    intervals = intervals_of(row)
    marks = (("chosen", trial.chosen), ("front", trial.front))
    return TrialEntry(
        no=trial.number,
        stage=trial.stage,
        ratio=trial.ratio,
        cost=text.cost(trial.cost, unit),
        values=tuple(
            _value(metric, trial.values.get(str(metric.get("id"))), intervals.get(str(metric.get("id"))), trial)
            for metric in metrics
        ),
        verdict=trial.verdict,
        sign=_SIGNS.get(trial.verdict, ""),
        tone=_TONES.get(trial.verdict, "open"),
        why=trial.why,
        marks=tuple(name for name, holds in marks if holds),
        seconds=text.seconds(row.seconds),
    )


def _value(metric: Mapping[str, Any], value: float | None, limits: Limits | None, trial: Trial) -> Value:
    required = text.finite(metric.get("required"))
    sign = -1.0 if metric.get("direction") == "lower" else 1.0
    gap = None if value is None or required is None else sign * (value - required)
    return Value(
        metric=text.clean(metric.get("id")),
        value=text.figure(value),
        interval="" if limits is None else text.interval((limits.low, limits.high)),
        n=trial.effort,
        gap="" if gap is None else text.difference(gap),
    )


def _metrics_of(rows: Sequence[TrialRow], lower: frozenset[str]) -> tuple[Mapping[str, Any], ...]:
    """Goals of which nothing but their names is known."""
    names = dict.fromkeys(name for row in rows for name in row.values)
    return tuple({"id": name, "direction": "lower" if name.rpartition("@")[0] in lower else "higher"} for name in names)
