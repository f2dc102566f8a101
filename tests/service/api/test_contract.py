"""Schemathesis with all its checks against a live server: what the OpenAPI document says is what happens."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.api.snapshot import snapshot
from service.store.db.engine import connect
from service.store.settings import Settings
from tests.service.api.serving import MODEL, Server, serving, sha256, submit, upload
from workers import durable
from workers.engine import DbosEngine

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("CONTRACT_EXAMPLES", "5")
"""Requests per operation and phase; raise it for a long run."""


@pytest.fixture
def live(database_url: str, tmp_path: Path) -> Iterator[Server]:
    """A server that puts studies in line as it does in earnest; nobody takes them."""
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    durable.migrate(settings)
    database, engine = connect(database_url), DbosEngine(settings)
    with serving(database, tmp_path, runs=engine, max_queued_studies=10_000, webhooks=True) as found:
        yield found
    engine.close()
    database.close()


@pytest.mark.slow
def test_every_check_of_schemathesis_passes(live: Server, tmp_path: Path) -> None:
    server, client, digest = live, live.client(), sha256(MODEL)
    upload(client, MODEL)
    known = {
        "CONTRACT_DIGEST": digest,
        "CONTRACT_STUDY": submit(client),
        "CONTRACT_MODEL": client.post("/v1/models", json={"digest": digest}).json()["id"],
        "CONTRACT_DATASET": client.post("/v1/datasets", json={"files": {"a.npy": digest}}).json()["id"],
        "SCHEMATHESIS_HOOKS": str(HERE / "contract_hooks.py"),
        "PYTHONPATH": str(HERE.parents[2]),
    }
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(HERE / "contract.toml"), "run"]
    options = ["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES]
    options += ["--seed", "1", "--suppress-health-check", "all", "--header", f"Authorization: Bearer {server.key()}"]
    done = subprocess.run(
        [*command, f"{server.url}/openapi.json", *options],
        cwd=tmp_path,
        env={**os.environ, **known},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    n = sum(len(one) for one in json.loads(snapshot())["paths"].values())
    assert n > 50
    assert re.search(rf"Operations:\s+{n} selected / {n} total", done.stdout), done.stdout[-3000:]
    assert client.get("/readyz").status_code == 200
