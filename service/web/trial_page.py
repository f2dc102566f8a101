"""One trial: its accuracy against what is required, its cost between the bounds, and its assignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from search.export.report import text
from search.export.report.assignment import AssignmentView, assignment_view
from search.export.report.trials import MarkedTrial, marked
from search.records.goal import GoalRecord
from search.records.result import CostRecord
from search.records.verdict import Tone
from service.http.context import PartsDep, Reader
from service.store.db import trials
from service.usecases.studies.groups import groups_of
from service.usecases.studies.reading import get_study, get_trial
from service.usecases.studies.results import chosen_of, cost_of, goals_seen
from service.web.assignments import assignment_rows
from service.web.frame import answer, frame_for
from service.web.study_frame import study_page
from service.web.study_views import VIEWS
from service.web.trial_lines import TrialEntry, Value, entry

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
    estimate: str
    gap: str
    tone: Tone
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
    goals, cost = goals_seen(study, (row.record,)), cost_of(study)
    (trial,) = marked((row.record,), chosen=chosen_of(study))
    shown = entry(trial, goals, cost.unit)
    address = f"/studies/{study.id}/trials"
    view = TrialView(
        entry=shown,
        goals=tuple(_goal(goal, value, trial) for goal, value in zip(goals, shown.values, strict=True)),
        bounds=_bounds(cost, row.record.cost),
        assignment=assignment_view(assignment_rows(row, groups)),
        before=f"{address}/{no - 1}" if no > 1 else "",
        after=f"{address}/{no + 1}" if no < n else "",
    )
    page = study_page(study, VIEWS, "trials", view)
    return answer("trial.html.j2", frame_for(principal, f"Trial {no} · {page.study.label}", "studies"), page)


def _goal(goal: GoalRecord, value: Value, trial: MarkedTrial) -> GoalLine:
    placed, sign = trial.placed(goal.id), -1.0 if goal.is_lower_better else 1.0
    tone: Tone = "open"
    if goal.required is not None and placed is not None:
        tone = "good" if sign * (placed - goal.required) >= 0 else "bad"
    told = {"good": "✓ reaches it", "bad": "✕ misses it", "open": "–", "fair": ""}[tone]
    return GoalLine(
        metric=value.metric,
        float_=text.figure(goal.float_value),
        required=("≤ " if sign < 0 else "≥ ") + text.figure(goal.required)
        if goal.required is not None
        else text.MISSING,
        value=value.value,
        interval=value.interval,
        n=value.n,
        estimate=value.estimate,
        gap=value.gap,
        tone=tone,
        told=f"{told} by its estimate" if value.estimate and tone != "open" else told,
    )


def _bounds(cost: CostRecord, reached: float) -> str:
    """Where the cost lies between the bounds."""
    low, high = cost.all_low, cost.all_high
    if low is None or high is None:
        return ""
    told = f"all-low {text.cost(low, cost.unit)}, all-high {text.cost(high, cost.unit)}"
    if high > low:
        told += f"; {text.percent((reached - low) / (high - low))} of the way between them"
    return told
