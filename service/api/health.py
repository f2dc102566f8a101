"""Whether the server lives, whether it can work, what it is and what it allows."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, Response

from search.spec.job import JOB_SCHEMA
from service import contract
from service.api.documented import PROBLEMS, Responses
from service.http.context import MetricsReader, PartsDep, Reader
from service.store.db import blobs, workers
from service.store.db.migrate import SchemaState, schema_state
from service.usecases.studies.occupation import occupation

LEAST_FREE = 2**20
"""Bytes below which a server is not ready."""
router = APIRouter(tags=["server"], responses=PROBLEMS)
_METRICS: Responses = {
    200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.head("/livez", include_in_schema=False)
@router.get("/livez", operation_id="live")
def live() -> contract.Health:
    """Say that the process lives; needs no key."""
    return contract.Health(status="ok")


@router.head("/readyz", include_in_schema=False)
@router.get(
    "/readyz", operation_id="ready", responses={503: {"model": contract.Readiness, "description": "Not ready."}}
)
def ready(parts: PartsDep, response: Response) -> contract.Readiness:
    """Say whether the database and the blob store can be used; needs no key."""
    is_up = parts.database.is_up()
    is_current = is_up and schema_state(parts.database) is SchemaState.CURRENT
    storage = _takes_more(parts.store.root)
    alive = 0
    if is_current:
        with parts.database.reading() as connection:
            alive = len(workers.alive(connection, parts.settings.dead_s))
    is_ready = is_current and storage
    response.status_code = 200 if is_ready else 503
    return contract.Readiness(
        status="ready" if is_ready else "not ready",
        database=is_up,
        schema_is_current=is_current,
        storage=storage,
        workers=alive,
    )


def _takes_more(place: Path) -> bool:
    """Whether files can be written there."""
    try:
        return os.access(place, os.W_OK) and shutil.disk_usage(place).free >= LEAST_FREE
    except OSError:
        return False


@router.get("/version", operation_id="version")
def which_version(_: Reader) -> contract.Version:
    """Return the version of the program, of the interface and of the job spec."""
    return contract.Version(version=version("bitbudget"), api="v1", job_schema=JOB_SCHEMA)


@router.get("/metrics", operation_id="metrics", responses=_METRICS, response_class=Response)
def metrics(parts: PartsDep, _: MetricsReader) -> Response:
    """Return counters for Prometheus; give it a key with the scope `metrics`, which opens nothing else."""
    return Response(parts.metrics.text(), media_type="text/plain; version=0.0.4")


@router.get("/v1/limits", operation_id="get_limits")
def limits(parts: PartsDep, principal: Reader) -> contract.Limits:
    """Return what may be sent, queued and opened, and how much is stored."""
    with parts.database.reading() as connection:
        stored = blobs.usage(connection, principal.tenant_id)
    return contract.shaped(contract.Limits, parts.settings, stored_bytes=stored)


@router.get("/v1/status", operation_id="get_status")
def status(parts: PartsDep, principal: Reader) -> contract.Status:
    """Return how busy the server is."""
    with parts.database.reading() as connection:
        found = occupation(connection, principal.tenant_id, storage=parts.store.root, dead_s=parts.settings.dead_s)
    return contract.shaped(contract.Status, found)
