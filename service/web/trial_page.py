"""One trial: its accuracy against what is required, its cost between the bounds, and its assignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from search.export.report import text
from search.export.report.assignment import AssignmentView, assignment_view
from search.export.report.trials import read_trials
from service.http.context import PartsDep, Reader
from service.store.db import trials
from service.store.db.trials import TrialRow
from service.usecases.studies.groups import groups_of
from service.usecases.studies.reading import get_study, get_trial
from service.web.assignments import assignment_rows
from service.web.frame import answer, frame_for
from service.web.study_frame import study_page
from service.web.study_views import VIEWS
from service.web.trial_lines import Judged, TrialEntry, as_line, entry, judged

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class GoalLine:
    """One goal of a trial; ``tone`` is ``good | bad | open``."""

    metric: str
    float_: str
    required: str
    value: str
    interval: str
    n: str
    gap: str
    tone: str
    told: str


@dataclass(frozen=True, kw_only=True)
class TrialView:
    """A trial with its neighbours; addresses are empty at the ends."""

    entry: TrialEntry
    goals: tuple[GoalLine, ...]
    bounds: str
    assignment: AssignmentView
    before: str
    after: str


@router.get("/studies/{study_id}/trials/{no}")
def trial_page(parts: PartsDep, principal: Reader, study_id: str, no: Annotated[int, Path(ge=0)]) -> Response:
    """Show one trial."""
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
        row = get_trial(connection, principal, study_id, no)
        groups = groups_of(connection, study)
        n = trials.count(connection, study.id)
    facts = judged(study)
    metrics = facts.metrics or tuple({"id": name} for name in row.values)
    (line,) = read_trials({"metrics": metrics, "cost": facts.cost}, [as_line(row, facts.n_samples)])
    shown = entry(line, row, metrics, facts.unit)
    address = f"/studies/{study.id}/trials"
    view = TrialView(
        entry=shown,
        goals=tuple(_goal(metric, shown, place, row) for place, metric in enumerate(metrics)),
        bounds=_bounds(facts, row),
        assignment=assignment_view({}, assignment_rows(row, groups)),
        before=f"{address}/{no - 1}" if no > 1 else "",
        after=f"{address}/{no + 1}" if no < n else "",
    )
    page = study_page(study, VIEWS, "trials", view)
    return answer("trial.html.j2", frame_for(principal, f"Trial {no} · {page.study.label}", "studies"), page)


def _goal(metric: Mapping[str, Any], shown: TrialEntry, place: int, row: TrialRow) -> GoalLine:
    value = shown.values[place]
    required, reached = text.finite(metric.get("required")), text.finite(row.values.get(str(metric.get("id"))))
    sign = -1.0 if metric.get("direction") == "lower" else 1.0
    tone = "open" if required is None or reached is None else "good" if sign * (reached - required) >= 0 else "bad"
    return GoalLine(
        metric=value.metric,
        float_=text.figure(text.finite(metric.get("float"))),
        required=("≤ " if sign < 0 else "≥ ") + text.figure(required) if required is not None else text.MISSING,
        value=value.value,
        interval=value.interval,
        n=value.n,
        gap=value.gap,
        tone=tone,
        told={"good": "✓ reaches it", "bad": "✕ misses it", "open": "–"}[tone],
    )


def _bounds(facts: Judged, row: TrialRow) -> str:
    """Where the cost lies between the bounds."""
    low, high = (text.finite(facts.cost.get(key)) for key in ("all_low", "all_high"))
    if low is None or high is None:
        return ""
    told = f"all-low {text.cost(low, facts.unit)}, all-high {text.cost(high, facts.unit)}"
    if high > low:
        told += f"; {text.percent((row.cost - low) / (high - low))} of the way between them"
    return told
