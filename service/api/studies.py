"""Submitting, finding and steering studies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic_core import to_jsonable_python
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from search.records.verdict import Outcome
from search.spec.job import JobSpec
from service import contract
from service.api.documented import PROBLEMS, Responses, created
from service.http.context import GivenKeys, IfMatch, PagingDep, Parts, PartsDep, Reader, RequestId, Submitter, etag
from service.http.downloads import matches
from service.problems import ServiceError
from service.store.db import studies
from service.store.db.idempotency import Answer
from service.store.db.studies import Study, StudyFilter
from service.usecases.accounts.principal import Principal
from service.usecases.studies.answers import Once, do_once
from service.usecases.studies.estimate import estimate
from service.usecases.studies.inputs import spec_digest
from service.usecases.studies.reading import get_study
from service.usecases.studies.specs import read_job
from service.usecases.studies.steering import Steering
from service.usecases.studies.submission import Submission, check_submission, submit

router = APIRouter(prefix="/v1/studies", tags=["studies"], responses=PROBLEMS)
JSON, YAML = "application/json", "application/yaml"
_SPEC = {"schema": {"$ref": "#/components/schemas/JobSpec"}}
_BODY = {"requestBody": {"required": True, "content": {JSON: _SPEC, YAML: _SPEC}}}
_LINKS = created(202, "study_id", "get_study", "change_study", "cancel_study", "pause_study", "list_trials")[202][
    "links"
]
_SUBMITTED: Responses = {
    200: {"model": contract.Study | contract.DryRun, "description": "A dry run, or an equal study that was found."},
    202: {"model": contract.Study, "description": "The study is in line.", "links": _LINKS},
}
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern="^[!-~]+$",
        description="Requests with the same key and body submit one study; the others get its answer.",
    ),
]


@router.post(
    "", operation_id="submit_study", status_code=202, responses={**PROBLEMS, **_SUBMITTED}, openapi_extra=_BODY
)
async def submit_study(
    *,
    parts: PartsDep,
    principal: Submitter,
    request: Request,
    request_id: RequestId,
    key: IdempotencyKey = None,
    dry_run: Annotated[bool, Query(description="Only check and estimate; nothing is queued.")] = False,
    reuse: Annotated[bool, Query(description="A finished study with the same content will do.")] = False,
    name: Annotated[contract.Name | None, Query(description="What to call the study.")] = None,
) -> Response:
    """Submit a study: the body is a job spec, as JSON or YAML, the same as for `bitbudget search --spec`."""
    body = await _text(request)
    async with parts.spec_turn:
        spec = await run_in_threadpool(read_job, body.decode())
    if dry_run:
        return await run_in_threadpool(_try, parts, principal, spec)
    submission = Submission(spec=spec, name=name, reuse=reuse, request_id=request_id)
    once = Once("POST /v1/studies", key, f"{reuse} {name}\n".encode() + body)
    return await run_in_threadpool(_submit, parts, principal, submission, once)


@router.get("", operation_id="list_studies")
def list_studies(
    *,
    parts: PartsDep,
    principal: Reader,
    paging: PagingDep,
    state: Annotated[list[contract.State] | None, Query(max_length=7)] = None,
    outcome: Outcome | None = None,
    target: Annotated[contract.Name | None, Query()] = None,
    name: Annotated[contract.Name | None, Query()] = None,
) -> contract.Page[contract.StudyLine]:
    """Return the tenant's studies, newest first."""
    wanted = StudyFilter(states=tuple(state or ()), outcome=outcome, target=target, name=name)
    with parts.database.reading() as connection:
        page = studies.page(connection, principal.tenant_id, wanted, cursor=paging.cursor, limit=paging.limit)
    return contract.Page(items=contract.shaped_each(contract.StudyLine, page.rows), next=page.next)


@router.get(
    "/{study_id}",
    operation_id="get_study",
    response_model=contract.Study,
    responses={**PROBLEMS, 304: {"description": "Not changed."}},
)
def read_study(parts: PartsDep, principal: Reader, study_id: str, request: Request) -> Response:
    """Return one study; its ETag changes with everything that changes about it."""
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
    if matches(request.headers.get("if-none-match"), etag(study.version)):
        return Response(status_code=304, headers={"ETag": etag(study.version)})
    return _answer(study, 200)


@router.patch("/{study_id}", operation_id="change_study", response_model=contract.Study)
def change_study(
    *,
    parts: PartsDep,
    principal: Submitter,
    study_id: str,
    body: contract.StudyChanges,
    given: GivenKeys,
    request_id: RequestId,
    version: IfMatch,
) -> Response:
    """Change the name, or the priority of a study that has not ended; with If-Match only in that version."""
    changes = {name: getattr(body, name) for name in given}
    with _steering(parts, principal, study_id, version, request_id) as steering:
        return _answer(steering.change(**changes), 200)


@router.post("/{study_id}/cancel", operation_id="cancel_study", status_code=202, response_model=contract.Study)
def cancel_study(
    parts: PartsDep, principal: Submitter, study_id: str, request_id: RequestId, version: IfMatch
) -> Response:
    """End a study early. One that runs delivers the best it has found before; one that waits ends at once."""
    with _steering(parts, principal, study_id, version, request_id) as steering:
        return _answer(steering.cancel(), 202)


@router.post("/{study_id}/pause", operation_id="pause_study", status_code=202, response_model=contract.Study)
def pause_study(
    parts: PartsDep, principal: Submitter, study_id: str, request_id: RequestId, version: IfMatch
) -> Response:
    """Stop a study until it is resumed; nothing that was finished is lost."""
    with _steering(parts, principal, study_id, version, request_id) as steering:
        return _answer(steering.pause(), 202)


@router.post("/{study_id}/resume", operation_id="resume_study", status_code=202, response_model=contract.Study)
def resume_study(
    parts: PartsDep, principal: Submitter, study_id: str, request_id: RequestId, version: IfMatch
) -> Response:
    """Put a paused study in line again."""
    with _steering(parts, principal, study_id, version, request_id) as steering:
        return _answer(steering.resume(), 202)


@router.delete(
    "/{study_id}",
    operation_id="delete_study",
    status_code=204,
    response_class=Response,
    responses={
        **PROBLEMS,
        202: {"model": contract.Study, "description": "It had not ended: it is cancelled, and stays."},
    },
)
def delete_study(
    parts: PartsDep, principal: Submitter, study_id: str, request_id: RequestId, version: IfMatch
) -> Response:
    """Delete a study that has ended; cancel any other."""
    with _steering(parts, principal, study_id, version, request_id) as steering:
        left = steering.delete()
        return Response(status_code=204) if left is None else _answer(left, 202)


@contextmanager
def _steering(
    parts: Parts, principal: Principal, study_id: str, version: int | None, request_id: str
) -> Iterator[Steering]:
    with parts.database.writing() as connection:
        yield Steering(
            connection=connection,
            principal=principal,
            engine=parts.engine,
            settings=parts.settings,
            study_id=study_id,
            version=version,
            request_id=request_id,
        )


async def _text(request: Request) -> bytes:
    """The body of a submission.

    Raises:
        ServiceError: ``unsupported-media-type``, or ``bad-request`` if it is not UTF-8.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, YAML):
        raise ServiceError("unsupported-media-type", f"A job spec is {JSON} or {YAML}, got {kind or 'no type'!r}.")
    body = await request.body()
    try:
        body.decode()
    except UnicodeDecodeError:
        raise ServiceError("bad-request", "The body is not UTF-8.") from None
    return body


def _try(parts: Parts, principal: Principal, spec: JobSpec) -> Response:
    with parts.database.reading() as connection:
        inputs = check_submission(connection, principal, parts.settings, spec)
        expected = estimate(connection, principal, spec, inputs)
    shown = contract.DryRun(
        spec=spec.to_json(),
        spec_digest=spec_digest(spec, inputs),
        estimate=contract.shaped(contract.Estimate, expected),
    )
    return JSONResponse(to_jsonable_python(shown))


def _submit(parts: Parts, principal: Principal, submission: Submission, once: Once) -> Response:
    with parts.database.writing() as connection:

        def work() -> Answer:
            done = submit(connection, principal, parts.settings, parts.engine, submission)
            shape = to_jsonable_python(contract.shaped(contract.Study, done.study))
            headers = {"Location": f"/v1/studies/{done.study.id}", "ETag": etag(done.study.version)}
            return Answer(202 if done.is_new else 200, headers, shape)

        given = do_once(connection, principal, once, work)
    replayed = {"Idempotent-Replayed": "true"} if given.is_replayed else {}
    return JSONResponse(given.answer.body, given.answer.status, headers={**given.answer.headers, **replayed})


def _answer(study: Study, status: int) -> Response:
    shape = to_jsonable_python(contract.shaped(contract.Study, study))
    return JSONResponse(shape, status, headers={"ETag": etag(study.version)})
