"""What a study has found so far: trials, front, tables, findings, files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from search.records.document import to_json
from search.records.verdict import Verdict
from service import contract
from service.api.documented import PROBLEMS, Responses
from service.http.context import Paging, PagingDep, Parts, PartsDep, Reader
from service.http.downloads import Download, download
from service.store.db import artifacts, trials
from service.store.db.trials import TrialRow
from service.usecases.accounts.principal import Principal
from service.usecases.studies.front import front_of
from service.usecases.studies.groups import groups_of
from service.usecases.studies.intervals import intervals_of
from service.usecases.studies.reading import (
    LAYERS,
    RESULT,
    SENSITIVITY,
    findings_in,
    get_artifact,
    get_study,
    get_trial,
    read_file,
    table_page,
)

router = APIRouter(prefix="/v1/studies/{study_id}", tags=["results"], responses=PROBLEMS)
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_FILE: Responses = {
    200: {"description": "The file.", "content": _BINARY},
    206: {"description": "A part.", "content": _BINARY},
}
Text = Annotated[str | None, Query(max_length=1000)]
ArtifactName = Annotated[str, Path(max_length=512, description="Relative path of the file.")]


@router.get("/trials", operation_id="list_trials")
def list_trials(
    *,
    parts: PartsDep,
    principal: Reader,
    study_id: str,
    paging: PagingDep,
    order: Annotated[Literal["no", "-no", "cost", "-cost"], Query(description="`-` is descending.")] = "no",
    verdict: Verdict | None = None,
) -> contract.Page[contract.TrialLine]:
    """Return the trials of a study."""
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
        page = trials.page(
            connection,
            principal.tenant_id,
            study.id,
            order=order,
            verdict=verdict,
            cursor=paging.cursor,
            limit=paging.limit,
        )
    return contract.Page(items=contract.shaped_each(contract.TrialLine, map(_shown, page.rows)), next=page.next)


@router.get("/trials/{no}", operation_id="get_trial")
def read_trial(parts: PartsDep, principal: Reader, study_id: str, no: Annotated[int, Path(ge=0)]) -> contract.Trial:
    """Return one trial with its details."""
    with parts.database.reading() as connection:
        return contract.shaped(contract.Trial, _shown(get_trial(connection, principal, study_id, no)))


@router.get("/groups", operation_id="list_groups")
def list_groups(parts: PartsDep, principal: Reader, study_id: str) -> contract.Items[contract.Group]:
    """Return the groups of the network in the order in which trials list their precisions."""
    with parts.database.reading() as connection:
        found = groups_of(connection, get_study(connection, principal, study_id))
    return contract.Items(items=contract.shaped_each(contract.Group, found))


@router.get("/front", operation_id="get_front")
def read_front(parts: PartsDep, principal: Reader, study_id: str) -> contract.Found[contract.FrontPoint]:
    """Return the complete trials that no other beats in both cost and accuracy, cheapest first."""
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
        rows = front_of(connection, study)
    points = tuple(contract.FrontPoint(trial=one.no, cost=one.cost, values=dict(one.seen)) for one in rows)
    return contract.Found(items=points, complete=study.is_terminal)


@router.get("/sensitivity", operation_id="list_sensitivity")
def list_sensitivity(
    *,
    parts: PartsDep,
    principal: Reader,
    study_id: str,
    paging: PagingDep,
    output: Text = None,
    base: Text = None,
    sensitive_type: Annotated[Literal["activation", "weight"] | None, Query()] = None,
) -> contract.Rows:
    """Return how much each point alone costs at low precision, most sensitive first within a table."""
    filters = {"output": output, "base": base, "sensitive_type": sensitive_type}
    return _rows(parts, principal, study_id, name=SENSITIVITY, filters=filters, paging=paging)


@router.get("/layers", operation_id="list_layers")
def list_layers(parts: PartsDep, principal: Reader, study_id: str, paging: PagingDep) -> contract.Rows:
    """Return float against quantized, layer by layer."""
    return _rows(parts, principal, study_id, name=LAYERS, filters={}, paging=paging)


@router.get("/findings", operation_id="list_findings")
def list_findings(parts: PartsDep, principal: Reader, study_id: str) -> contract.Found[contract.Finding]:
    """Return what the user should know, with advice."""
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
        artifact = artifacts.get(connection, principal.tenant_id, study.id, RESULT)
    found = findings_in(read_file(parts.store, artifact))
    return contract.Found(items=contract.shaped_each(contract.Finding, found), complete=study.is_terminal)


@router.get("/artifacts", operation_id="list_artifacts")
def list_artifacts(parts: PartsDep, principal: Reader, study_id: str) -> contract.Items[contract.Artifact]:
    """Return the files that the study delivered."""
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
        found = artifacts.listing(connection, principal.tenant_id, study.id)
    return contract.Items(items=contract.shaped_each(contract.Artifact, found))


@router.get(
    "/artifacts/{name:path}", operation_id="get_artifact", responses={**PROBLEMS, **_FILE}, response_class=Response
)
def read_artifact(parts: PartsDep, principal: Reader, study_id: str, name: ArtifactName, request: Request) -> Response:
    """Download a file; its ETag is its SHA-256, Range is understood."""
    return _send(parts, principal, study_id, name, request)


@router.head(
    "/artifacts/{name:path}", operation_id="head_artifact", responses={**PROBLEMS, **_FILE}, response_class=Response
)
def head_artifact(parts: PartsDep, principal: Reader, study_id: str, name: ArtifactName, request: Request) -> Response:
    """Say how large a file is and what its ETag is."""
    return _send(parts, principal, study_id, name, request, head=True)


def _shown(trial: TrialRow) -> dict[str, Any]:
    return {**to_json(trial.record), "intervals": intervals_of(trial.record), "detail": trial.detail}


def _send(
    parts: Parts, principal: Principal, study_id: str, name: str, request: Request, *, head: bool = False
) -> Response:
    with parts.database.reading() as connection:
        found = get_artifact(connection, principal, study_id, name)
    file = Download(found.digest, found.size, found.name, found.media_type)
    return download(parts.store, file, request.headers, head=head)


def _rows(
    parts: Parts, principal: Principal, study_id: str, *, name: str, filters: dict[str, str | None], paging: Paging
) -> contract.Rows:
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
        artifact = artifacts.get(connection, principal.tenant_id, study.id, name)
    page = table_page(
        read_file(parts.store, artifact),
        artifact,
        is_final=study.is_terminal,
        filters=filters,
        cursor=paging.cursor,
        limit=paging.limit,
    )
    return contract.Rows(items=tuple(dict(row) for row in page.rows), next=page.next, complete=page.is_final)
