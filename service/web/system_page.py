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
from service.store.db.tenants import defaults_of
from service.store.db.workers import Worker
from service.usecases.studies.line import Line, line_of
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
class LineFacts:
    """The tenant's part of the line: facts, and its next studies as ``(id, place, expected start)``."""

    facts: tuple[tuple[str, str], ...]
    places: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, kw_only=True)
class SystemPage:
    """What the page prints; ``workers`` is None for those who may not see them."""

    occupation: Occupation
    line: LineFacts
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
        capacity = workers.capacity(connection, settings.dead_s)
        line = line_of(connection, principal.tenant_id, defaults_of(settings), capacity)
        rows = workers.listing(connection) if principal.may("operator") else None
    quota = settings.tenant_quota_bytes
    page = SystemPage(
        occupation=found,
        line=LineFacts(facts=(), places=()) if line is None else _line(line),
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


def _line(line: Line) -> LineFacts:
    share = line.share

    def of(used: str, most: str | None) -> str:
        return used if most is None else f"{used} of {most}"

    most_s = None if share.day_seconds is None else text.seconds(share.day_seconds)
    held = {"running": "as many as may run do", "seconds": "the day's seconds are used up", None: "none"}
    return LineFacts(
        facts=(
            ("Weight among tenants with studies", f"{share.weight:g} of {line.total_weight:g}"),
            ("Running", of(f"{share.running:,}", None if share.max_running is None else f"{share.max_running:,}")),
            ("Evaluator time today (UTC)", of(text.seconds(share.used_s), most_s)),
            ("What holds the next study back", held[share.held_by]),
        ),
        places=tuple(
            (
                one.study_id,
                "not known" if one.ahead is None else f"{one.ahead:,} before it",
                "not known" if one.starts_in_s is None else f"in about {text.seconds(one.starts_in_s)}",
            )
            for one in line.places
        ),
    )


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
