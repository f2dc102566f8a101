"""The server itself: what waits and runs, who computes, how much disk is left, which versions, which limits."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter
from starlette.responses import Response

from search.export.report import text
from search.spec.job import JOB_SCHEMA
from service.http.context import PartsDep, Reader
from service.store.db import blobs, workers
from service.store.db.workers import Worker
from service.usecases.studies.occupation import Occupation, occupation
from service.web.frame import answer, frame_for, size

router = APIRouter(include_in_schema=False)
LIBRARIES = ("numpy", "onnx", "onnxruntime", "optuna", "fastapi", "dbos")


@dataclass(frozen=True, kw_only=True)
class WorkerLine:
    """One worker; ``tone`` is ``good | bad | open``."""

    name: str
    host: str
    pid: int
    version: str
    slots: int
    state: str
    silent: str
    tone: str


@dataclass(frozen=True, kw_only=True)
class SystemPage:
    """What the page prints; ``workers`` is None for those who may not see them."""

    occupation: Occupation
    waiting: str
    stored: str
    quota: str
    workers: tuple[WorkerLine, ...] | None
    versions: tuple[tuple[str, str], ...]
    limits: tuple[tuple[str, str], ...]


@router.get("/system")
def system_page(parts: PartsDep, principal: Reader) -> Response:
    """Show the server."""
    settings = parts.settings
    with parts.database.reading() as connection:
        found = occupation(connection, principal.tenant_id, storage=parts.store.root, dead_s=settings.dead_s)
        stored = blobs.usage(connection, principal.tenant_id)
        rows = workers.listing(connection) if principal.may("admin") else None
    quota = settings.tenant_quota_bytes
    page = SystemPage(
        occupation=found,
        waiting=text.seconds(found.waiting_s),
        stored=size(stored),
        quota="no quota" if quota is None else f"of {size(quota)}",
        workers=None if rows is None else tuple(_worker(one, settings.dead_s) for one in rows),
        versions=(
            ("bitbudget", version("bitbudget")),
            ("interface", "v1"),
            ("job spec", JOB_SCHEMA),
            *installed_libraries(),
        ),
        limits=(
            ("Model with external data", size(settings.max_model_bytes)),
            ("Data set", size(settings.max_dataset_bytes)),
            ("Studies of a tenant that have not ended", f"{settings.max_queued_studies:,}"),
            ("Requests per second and key", f"{settings.requests_per_s:g}, at once {settings.request_burst:,}"),
            ("Event streams per key", f"{settings.max_streams_per_key:,}"),
            ("Memory of an evaluator", size(settings.evaluator_memory_bytes)),
            ("Wall time of a study", text.seconds(settings.study_wall_s)),
        ),
    )
    return answer("system.html.j2", frame_for(principal, "System", "system"), page)


def _worker(one: Worker, dead_s: float) -> WorkerLine:
    is_dead = one.silent_s > dead_s
    return WorkerLine(
        name=text.clean(one.executor_id),
        host=text.clean(one.host),
        pid=one.pid,
        version=text.clean(one.version, 40),
        slots=one.slots,
        state="silent" if is_dead and one.state != "stopped" else one.state,
        silent=text.seconds(one.silent_s),
        tone="open" if one.state == "stopped" else "bad" if is_dead else "good",
    )


def installed_libraries() -> tuple[tuple[str, str], ...]:
    """Name and version of the libraries that matter, those of extras where they are installed."""
    found = []
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found.append((name, version(name)))
    return tuple(found)
