"""What every route may need, as types: the parts of the server, and who is asking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends, Query, Request

from service.contract import Scope
from service.http.metrics import Metrics
from service.problems import Pointer, ServiceError
from service.store.blobs.store import BlobStore
from service.store.db.engine import Database
from service.store.db.pages import MAX_PAGE
from service.store.retention.incoming import Incoming
from service.store.settings import Settings
from service.usecases.accounts.principal import Principal
from service.usecases.accounts.rates import StreamLimit
from service.usecases.studies.engine import Engine

DEFAULT_PAGE = 50
MAX_CURSOR = 4096


@dataclass(frozen=True)
class Parts:
    """The parts of one server.

    Attributes:
        settings: What it is configured with.
        database: Where rows are.
        store: Where blobs are.
        engine: What runs studies.
        streams: Counts open event streams.
        metrics: Counters of this process.
        incoming: Counts bytes of uploads while they arrive.
        spec_turn: Held while a spec is read: many at once would hold up every other request.
        clock: Now, with a time zone; for what callers say about time.
    """

    settings: Settings
    database: Database
    store: BlobStore
    engine: Engine
    streams: StreamLimit
    metrics: Metrics
    incoming: Incoming
    spec_turn: asyncio.Semaphore
    clock: Callable[[], datetime]


@dataclass(frozen=True)
class Paging:
    """Which part of a list is wanted.

    Attributes:
        cursor: ``next`` of the page before.
        limit: Most rows.
    """

    cursor: str | None
    limit: int


def _parts(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


def _principal(request: Request) -> Principal:
    found = getattr(request.state, "principal", None)
    if not isinstance(found, Principal):  # the gate lets nobody in without one; a public route must not ask
        raise ServiceError("unauthenticated", "There is no principal.")
    return found


def _request_id(request: Request) -> str:
    return str(request.state.request_id)


def _paging(
    cursor: Annotated[str | None, Query(max_length=MAX_CURSOR, description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Most rows of the page.")] = DEFAULT_PAGE,
) -> Paging:
    return Paging(cursor, limit)


async def _given_keys(request: Request) -> frozenset[str]:
    """The keys of the JSON body: what a change leaves away is not the same as null."""
    try:
        body = await request.json()
    except (ValueError, RecursionError):  # the reader of the body says so to the client
        return frozenset()
    return frozenset(body) if isinstance(body, dict) else frozenset()


def _version(request: Request) -> int | None:
    """The version of the resource that ``If-Match`` asks for; None takes any."""
    text = request.headers.get("if-match")
    if text is None or text.strip() == "*":
        return None
    tag = text.strip()
    if tag.startswith('"v') and tag.endswith('"') and tag[2:-1].isascii() and tag[2:-1].isdigit() and len(tag) < 20:
        return int(tag[2:-1])
    raise ServiceError(
        "changed-meanwhile",
        "If-Match is not an ETag of this resource.",
        pointers=[Pointer("header:if-match", "give the ETag of the study as GET answered it")],
    )


def etag(version: int) -> str:
    """The ETag of a resource that counts its versions."""
    return f'"v{version}"'


class Needs:
    """A dependency that lets only those with a scope pass."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(self, request: Request) -> Principal:
        """Return the principal.

        Raises:
            ServiceError: ``forbidden``.
        """
        principal = _principal(request)
        principal.require(self._scope)
        return principal


PartsDep = Annotated[Parts, Depends(_parts)]
Reader = Annotated[Principal, Depends(Needs("read"))]
Submitter = Annotated[Principal, Depends(Needs("submit"))]
Operator = Annotated[Principal, Depends(Needs("operator"))]
MetricsReader = Annotated[Principal, Depends(Needs("metrics"))]
Administrator = Annotated[Principal, Depends(Needs("admin"))]
RequestId = Annotated[str, Depends(_request_id)]
PagingDep = Annotated[Paging, Depends(_paging)]
GivenKeys = Annotated[frozenset[str], Depends(_given_keys)]
IfMatch = Annotated[int | None, Depends(_version)]
