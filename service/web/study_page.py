"""The pages of a study: its overview, live while it runs, and its views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter, Request
from sqlalchemy.engine import Connection
from starlette.responses import Response

from search.export.report.metrics import MetricRow, metric_rows
from search.export.report.provenance import provenance_rows
from search.export.report.verdict import Banner, Fact, facts, verdict
from service.http.context import PartsDep, Reader
from service.problems import not_found
from service.store.db import events
from service.store.db.studies import Study
from service.usecases.studies.reading import get_study
from service.usecases.studies.results import result_of
from service.web.frame import answer, frame_for
from service.web.study_frame import Asked, study_page
from service.web.study_lines import StudyHead, head_of
from service.web.study_views import VIEWS
from service.web.trial_lines import SearchView, search_view

router = APIRouter(include_in_schema=False)
PHASES: Mapping[str, str] = {
    "validate": "Check",
    "baseline": "Baseline",
    "sensitivity": "Sensitivity",
    "search": "Search",
    "export": "Export",
    "report": "Report",
}
"""Phases in their usual order, as the bar names them; a study may go back from the search to the sensitivity."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One part of the phase bar: ``state`` is ``done | now | open``."""

    key: str
    title: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Overview:
    """What the overview prints, and prints again while the study runs.

    Attributes:
        study: The study.
        phases: The phase bar.
        verdict: Banner of a study that has a result.
        facts: Figures under it.
        metrics: Goals with what was reached.
        provenance: What the result rests on.
        search: Trials and charts.
        seen: Newest event when this was read: the stream goes on behind it.
    """

    study: StudyHead
    phases: tuple[Phase, ...]
    verdict: Banner | None
    facts: tuple[Fact, ...]
    metrics: tuple[MetricRow, ...]
    provenance: tuple[tuple[str, str], ...]
    search: SearchView
    seen: int


@router.get("/studies/{study_id}")
def overview_page(parts: PartsDep, principal: Reader, study_id: str) -> Response:
    """Show a study: live while it runs, its verdict with the evidence afterwards."""
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
        view = overview(connection, study)
    page = study_page(study, VIEWS, "", view)
    return answer("overview.html.j2", frame_for(principal, page.study.label, "studies", has_charts=True), page)


@router.get("/studies/{study_id}/live")
def live_part(parts: PartsDep, principal: Reader, study_id: str) -> Response:
    """Return the part of the overview that changes while the study runs."""
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
        view = overview(connection, study)
    return answer("live.html.j2", frame_for(principal, "", "studies"), study_page(study, VIEWS, "", view))


@router.get("/studies/{study_id}/{key}")
def view_page(parts: PartsDep, principal: Reader, study_id: str, key: str, request: Request) -> Response:
    """Show one view of a study."""
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
    view = next((one for one in VIEWS if one.key == key), None)
    if view is None:
        raise not_found("page")
    asked = Asked(parts=parts, principal=principal, study=study, query=dict(request.query_params))
    page = study_page(study, VIEWS, key, view.build(asked))
    frame = frame_for(principal, f"{view.title} · {page.study.label}", "studies", has_charts=view.has_charts)
    return answer(view.template, frame, page)


def overview(connection: Connection, study: Study) -> Overview:
    """Return the overview of a study."""
    seen = events.last_id(connection, tenant_id=study.tenant_id, study_id=study.id)
    result = result_of(study)
    return Overview(
        study=head_of(study),
        phases=phases(study),
        verdict=None if result is None else verdict(result),
        facts=() if result is None else facts(result),
        metrics=() if result is None else metric_rows(result.metrics),
        provenance=() if result is None else provenance_rows(result.provenance),
        search=search_view(connection, study),
        seen=seen,
    )


def phases(study: Study) -> tuple[Phase, ...]:
    """Return the phase bar; a phase of a later version stands behind the known ones."""
    known = {**PHASES, **({study.phase: study.phase} if study.phase and study.phase not in PHASES else {})}
    order = list(known)
    at = order.index(study.phase) if study.phase in known else -1
    if study.state == "succeeded":
        at = len(order)
    return tuple(
        Phase(key=key, title=known[key], state="done" if place < at else "now" if place == at else "open")
        for place, key in enumerate(order)
    )
