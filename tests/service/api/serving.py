"""A server to ask over real HTTP, with an engine that runs nothing, and a few things to put into its database."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy.engine import Connection

from service.app import create_app
from service.http.protocol import HttpProtocol
from service.store import uploads
from service.store.blobs.store import BlobStore
from service.store.db import artifacts, studies, tenants, trials
from service.store.db.engine import Database
from service.store.db.studies import Study
from service.store.db.trials import TrialRow
from service.store.settings import Settings
from service.usecases.accounts.keys import make_key
from service.usecases.accounts.principal import Scope
from service.usecases.studies.engine import Engine
from tests.trial_rows import trial_row

MODEL, DATA = b"not an ONNX file", b"not an npz file"


@dataclass
class FakeEngine:
    """Notes what it was told; nothing runs."""

    told: list[tuple[str, str]] = field(default_factory=list)

    def submit(self, connection: Connection, study: Study) -> None:
        self.told.append(("submit", study.id))

    def cancel(self, connection: Connection, study: Study) -> None:
        self.told.append(("cancel", study.id))

    def pause(self, connection: Connection, study: Study) -> None:
        self.told.append(("pause", study.id))

    def resume(self, connection: Connection, study: Study) -> None:
        self.told.append(("resume", study.id))

    def prioritise(self, connection: Connection, study: Study) -> None:
        self.told.append(("prioritise", study.id))


@dataclass
class Server:
    """A running server and what is behind it."""

    app: FastAPI
    url: str
    database: Database
    store: BlobStore
    engine: FakeEngine
    settings: Settings
    clients: list[httpx.Client] = field(default_factory=list)

    def key(self, *scopes: Scope, tenant: str = "default") -> str:
        """A new key."""
        with self.database.writing() as connection:
            owner = tenants.ensure(connection, tenant)
            made = make_key(
                connection, tenant_id=owner.id, name="test", scopes=scopes or ("admin", "operator"), actor="test"
            )
        return made.text

    def tenant(self, name: str = "default") -> str:
        with self.database.writing() as connection:
            return tenants.ensure(connection, name).id

    def client(self, *scopes: Scope, tenant: str = "default", **more: Any) -> httpx.Client:
        """A client with a new key."""
        headers = {"Authorization": f"Bearer {self.key(*scopes, tenant=tenant)}"}
        return self.anonymous(headers=headers, **more)

    def anonymous(self, **more: Any) -> httpx.Client:
        """A client without a key."""
        self.clients.append(httpx.Client(base_url=self.url, timeout=30, **more))
        return self.clients[-1]

    def move(self, study_id: str, *, expect: str, to: str, **changes: Any) -> None:
        """What a worker would do."""
        with self.database.writing() as connection:
            moved = studies.transition(connection, study_id, expect={expect}, to=to, changes=changes)
        assert moved is not None

    def finish(self, study_id: str, outcome: str = "met", result: Mapping[str, Any] | None = None) -> None:
        self.move(study_id, expect="queued", to="running")
        self.move(study_id, expect="running", to="succeeded", outcome=outcome, result=result or {})

    def deliver(
        self, study_id: str, files: Mapping[str, bytes], media_type: str = "text/csv", tenant: str = "default"
    ) -> None:
        """Artifacts, as a worker stores them."""
        owner = self.tenant(tenant)
        for name, data in files.items():
            digest = uploads.put(self.database, self.store, owner, data)
            with self.database.writing() as connection:
                artifacts.put(
                    connection,
                    study_id=study_id,
                    tenant_id=owner,
                    name=name,
                    digest=digest,
                    size=len(data),
                    media_type=media_type,
                )

    def add_trials(self, study_id: str, rows: list[TrialRow]) -> None:
        tenant = self.tenant()
        with self.database.writing() as connection:
            trials.put(connection, study_id=study_id, tenant_id=tenant, rows=rows)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def upload(client: httpx.Client, data: bytes) -> str:
    """Upload bytes; the reference a spec takes."""
    digest = sha256(data)
    assert client.put(f"/v1/blobs/{digest}", content=data).status_code in (200, 201)
    return f"sha256:{digest}"


def spec_for(client: httpx.Client, **changes: Any) -> dict[str, Any]:
    """A spec whose inputs are uploaded."""
    data = upload(client, DATA)
    return {
        "model": upload(client, MODEL),
        "data": {"calibration": data, "evaluation": data},
        "target": {"name": "j6m"},
        **changes,
    }


def submit(client: httpx.Client, **changes: Any) -> str:
    """Submit a study; its id."""
    answer = client.post("/v1/studies", json=spec_for(client, **changes))
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def trial(no: int, cost: float, value: float | None, verdict: str = "met") -> TrialRow:
    detail = {"requested": "x"}
    return trial_row(no, cost=cost, seen={"top1@logits": value}, verdict=verdict, detail=detail)


@contextmanager
def serving(
    database: Database, folder: Path, *, authenticate: bool = True, runs: Engine | None = None, **settings: Any
) -> Iterator[Server]:
    """Run a server on a free port of this machine until the end of the block; ``runs`` replaces the engine it tells."""
    chosen = Settings.model_validate(
        {"data_dir": folder, "requests_per_s": 10_000.0, "request_burst": 10_000, **settings}
    )
    store, engine = BlobStore(folder / "blobs"), FakeEngine()
    app = create_app(chosen, runs or engine, database=database, store=store, authenticate=authenticate)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=HttpProtocol,
        log_level="critical",
        timeout_graceful_shutdown=1,
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("The server did not start.")
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    running = Server(app, f"http://127.0.0.1:{port}", database, store, engine, chosen)
    try:
        yield running
    finally:
        for client in running.clients:
            client.close()
        server.should_exit = True
        thread.join(10)
