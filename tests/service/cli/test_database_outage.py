"""The server while its PostgreSQL is away: it lives, says that it may be asked again, and goes on by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.pages import ROOT
from tests.service.cli.served import command, environment, served
from tests.workers.test_outages import kill_server, own_server, start_server

__all__ = ["own_server"]
pytestmark = pytest.mark.slow


def test_the_server_outlives_its_database(own_server: Any, tmp_path: Path) -> None:
    settings = {"BITBUDGET_DATABASE_URL": own_server.get_uri()}
    subprocess.run(command("migrate"), env=environment(settings), check=True, capture_output=True)
    with served(tmp_path / "server", "--workers", "0", **settings) as server, server.client() as client:
        data = client.blobs.put(ROOT / "examples/digits/evaluation.npz")
        model = client.blobs.put(ROOT / "examples/digits/digits.onnx")
        spec = {"model": model, "data": {"calibration": data, "evaluation": data}, "target": {"name": "j6m"}}
        first = client.studies.submit(spec)
        kill_server(own_server)
        headers = {"Authorization": f"Bearer {server.key}"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as asking:
            for method, path in (("GET", "/v1/studies"), ("GET", f"/v1/studies/{first.id}"), ("POST", "/v1/studies")):
                answer = asking.request(method, path, json=spec if method == "POST" else None)
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable"), answer.text
                assert answer.headers["retry-after"]
            assert asking.get("/livez").status_code == 200
            assert asking.get("/readyz").status_code == 503
        start_server(own_server)
        second = client.studies.submit(spec)
        assert {one.id for one in client.studies.list().items} == {first.id, second.id}
        assert server.process is not None
        assert server.process.poll() is None
