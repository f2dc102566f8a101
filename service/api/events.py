"""What happens to a study, as it happens: server-sent events with replay, or the same as a list to poll.

A stream continues behind ``Last-Event-ID``, so a client that reconnects misses nothing and sees nothing twice. It ends
with the study; a client that comes back then is told with 204 not to come again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic_core import to_jsonable_python
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from service import contract
from service.api.documented import PROBLEMS, Responses
from service.http.context import Parts, PartsDep, Reader
from service.problems import Pointer, ServiceError
from service.store.db import events
from service.store.db.events import Event
from service.usecases.accounts.principal import Principal
from service.usecases.studies.reading import get_study

POLL_S = 0.5
HEARTBEAT_S = 15.0
LIFE_S = 600.0
"""A stream ends after this time: its client comes back behind the last event, and its key is looked at again."""
BATCH = 200
router = APIRouter(prefix="/v1/studies/{study_id}", tags=["results"], responses=PROBLEMS)
_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}
_BOTH: Responses = {
    200: {"model": contract.Events, "description": "Events behind `after`, or a stream of them.", "content": _STREAM},
    204: {"description": "To a stream that saw everything of a study that has ended."},
}


@router.get("/events", operation_id="list_events", responses={**PROBLEMS, **_BOTH}, response_model=contract.Events)
async def list_events(
    *,
    parts: PartsDep,
    principal: Reader,
    study_id: str,
    request: Request,
    after: Annotated[int, Query(ge=0, lt=2**63, description="Only what came behind this event.")] = 0,
    limit: Annotated[int, Query(ge=1, le=BATCH, description="Most events of a list.")] = BATCH,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)] = None,
) -> Response:
    """Return events of a study; with `Accept: text/event-stream` as a stream that goes on until the study ends."""
    start = max(after, _last_seen(last_event_id))
    if "text/event-stream" not in request.headers.get("accept", ""):
        found = await run_in_threadpool(_read, parts, principal, study_id, start, limit)
        shown = contract.Events(
            items=contract.shaped_each(contract.Event, found.events),
            last=found.events[-1].id if found.events else start,
        )
        return JSONResponse(to_jsonable_python(shown))
    first = await run_in_threadpool(_read, parts, principal, study_id, start, BATCH)
    if first.is_last and not first.events:
        return Response(status_code=204)
    parts.streams.check(principal.key_id or "local")
    stream = _Stream(parts, principal, study_id, time.monotonic)
    return EventSourceResponse(
        stream.run(first, start), headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )


@dataclass(frozen=True)
class _Batch:
    """Events that were read, and whether no more can come behind them."""

    events: tuple[Event, ...]
    is_last: bool


@dataclass(frozen=True)
class _Stream:
    """One open stream."""

    parts: Parts
    principal: Principal
    study_id: str
    clock: Callable[[], float]

    async def run(self, batch: _Batch, seen: int) -> AsyncIterator[bytes]:
        """Yield events, and a comment now and then so that a dead connection is noticed."""
        with self.parts.streams.hold(self.principal.key_id or "local"):
            self.parts.metrics.streams.inc()
            yield format_sse_event(retry=1000)
            began = spoke = self.clock()
            while self.clock() - began < LIFE_S:
                for event in batch.events:
                    yield _encoded(event)
                    seen, spoke = event.id, self.clock()
                if batch.is_last:
                    return
                if self.clock() - spoke >= HEARTBEAT_S:
                    yield format_sse_event(comment="alive")
                    spoke = self.clock()
                if len(batch.events) < BATCH:
                    await asyncio.sleep(POLL_S)
                try:
                    batch = await run_in_threadpool(_read, self.parts, self.principal, self.study_id, seen, BATCH)
                except ServiceError:  # the study was deleted
                    return


def _read(parts: Parts, principal: Principal, study_id: str, after: int, limit: int) -> _Batch:
    with parts.database.reading() as connection:
        study = get_study(connection, principal, study_id)
        found = events.after(connection, tenant_id=principal.tenant_id, study_id=study.id, after_id=after, limit=limit)
    return _Batch(found, is_last=study.is_terminal and len(found) < limit)


def _encoded(event: Event) -> bytes:
    return format_sse_event(
        data_str=json.dumps(dict(event.data), separators=(",", ":")), event=event.kind, id=str(event.id)
    )


def _last_seen(header: str | None) -> int:
    if header is None or header == "":
        return 0
    if not (header.isascii() and header.isdigit() and int(header) < 2**63):
        raise ServiceError(
            "invalid-request",
            "Last-Event-ID is not an id of this stream.",
            pointers=[Pointer("header:last-event-id", "must be the id of an event")],
        )
    return int(header)
