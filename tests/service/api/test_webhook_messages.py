"""A running server tells a real receiver of its studies, signed, and again after a refusal; on both databases."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service.store.db.engine import Database
from tests.service.api.serving import serving, submit


class Receiver(BaseHTTPRequestHandler):
    """Refuses the first message once, then takes everything."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen = self.server.seen  # type: ignore[attr-defined]
        seen.append((dict(self.headers), body))
        self.send_response(500 if len(seen) == 1 else 204)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.seen = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_receiver_hears_of_a_study_signed_and_again_after_a_refusal(
    database: Database, tmp_path: Path, receiver: ThreadingHTTPServer
) -> None:
    with serving(database, tmp_path, webhooks=True, webhook_networks="127.0.0.0/8, ::1/128") as server:
        client = server.client()
        url = f"http://127.0.0.1:{receiver.server_port}/hook"
        made = client.post("/v1/webhooks", json={"url": url}).json()
        study = submit(client)
        server.finish(study)
        deadline, lines = time.monotonic() + 40, []
        while {line["state"] for line in lines} != {"delivered"} or len(lines) != 3:
            assert time.monotonic() < deadline, lines
            time.sleep(0.2)
            lines = client.get(f"/v1/webhooks/{made['id']}/deliveries").json()["items"]
    seen = receiver.seen  # type: ignore[attr-defined]
    assert len(seen) == 4
    told = {}
    for headers, body in seen:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(made["secret"].removeprefix("whsec_"))
        wanted = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == wanted
        told[headers["webhook-id"]] = json.loads(body)
    assert {one["type"] for one in told.values()} == {"study.queued", "study.running", "study.succeeded"}
    assert {one["data"]["id"] for one in told.values()} == {study}
    assert set(told) == {line["id"] for line in lines}


def test_a_server_that_sends_none_starts_no_thread(server: object) -> None:
    assert "webhooks" not in {thread.name for thread in threading.enumerate()}
