"""The server as one ASGI application, put together from its parts. Nothing is global: two may live in one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI

from service.api.openapi import openapi_document
from service.api.routers import ROUTERS
from service.http import answers
from service.http.bodies import Bodies
from service.http.context import Parts
from service.http.edge import Edge
from service.http.gate import Gate, Guard, is_loopback
from service.http.metrics import Metrics
from service.store.blobs.store import BlobStore
from service.store.db.engine import Database, connect
from service.store.retention.incoming import Incoming
from service.store.settings import Settings, SettingsError
from service.usecases.accounts.rates import RateLimit, StreamLimit
from service.usecases.studies.engine import Engine
from service.usecases.webhooks.background import sending
from service.web.problem_page import problem_page
from service.web.routers import PAGES


def create_app(
    settings: Settings,
    engine: Engine,
    *,
    database: Database | None = None,
    store: BlobStore | None = None,
    authenticate: bool = True,
) -> FastAPI:
    """Build the server; the tables must be there (``service.store.db.migrate.prepare``).

    Args:
        settings: What it is configured with.
        engine: What runs studies.
        database: Open database; one is opened, and closed with the server, if None.
        store: Blob store; the one of the settings if None.
        authenticate: False lets everybody on this machine in as administrator.

    Raises:
        SettingsError: If it would be open to other machines without authentication.
    """
    if not authenticate and not is_loopback(settings.host):
        raise SettingsError(
            f"Without authentication the server may only listen on 127.0.0.1 or ::1, not on {settings.host!r}. "
            "Leave --no-auth away, or change --host."
        )
    opened = database or connect(settings.database, pool_size=settings.database_pool)
    metrics = Metrics(opened, dead_s=settings.dead_s)
    app = FastAPI(
        title="bitbudget",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        lifespan=_lifespan(settings, opened, is_ours=database is None),
    )
    app.state.parts = Parts(
        settings=settings,
        database=opened,
        store=store or BlobStore(settings.blobs_dir),
        engine=engine,
        streams=StreamLimit(settings.max_streams_per_key),
        metrics=metrics,
        incoming=Incoming(opened, settings.tenant_quota_bytes),
        spec_turn=asyncio.Semaphore(1),
        clock=lambda: datetime.now(UTC),
    )
    answers.install(app)
    app.state.problem_page = problem_page
    for router in (*ROUTERS, *PAGES):
        app.include_router(router)
    _describe(app)
    rates = RateLimit(per_s=settings.requests_per_s, burst=settings.request_burst, clock=time.monotonic)
    guard = Guard(settings, opened, rates, authenticate)
    app.add_middleware(Bodies, settings=settings)
    app.add_middleware(Gate, guard=guard)
    app.add_middleware(Edge, metrics=metrics)  # added last: outermost
    return app


def _describe(app: FastAPI) -> None:
    """Replace the framework's OpenAPI document by ours, made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi_document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the documented way to change it


def _lifespan(
    settings: Settings, database: Database, *, is_ours: bool
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with sending(settings, database):
            yield
        if is_ours:
            database.close()

    return lifespan
