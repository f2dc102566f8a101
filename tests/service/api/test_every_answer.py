"""What holds for every answer: form of refusals, headers, request ids, health, metrics."""

import gzip
import re
import socket
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from service.problems import KINDS
from service.store.db import workers
from service.store.db.engine import Database
from service.store.db.migrate import head
from tests.service.api.serving import Server, serving, sha256, submit


class TestRefusals:
    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/nothing", 404, "not-found"),
            ("GET", "/v1", 404, "not-found"),
            ("GET", "/v1/studies/", 404, "not-found"),
            ("PUT", "/v1/studies", 405, "method-not-allowed"),
            ("TRACE", "/livez", 405, "method-not-allowed"),
            ("POST", "/v1/keys", 422, "invalid-request"),
            ("GET", "/v1/studies/x", 404, "not-found"),
            ("GET", "/v1/studies/%00", 404, "not-found"),
            ("GET", "/v1/targets/%2e%2e%2fj6m", 404, "not-found"),
            ("GET", "/v1/targets/nope", 404, "not-found"),
            ("GET", "/v1/keys/x", 404, "not-found"),
            ("GET", "/v1/models/x", 404, "not-found"),
        ],
    )
    def test_they_are_problems_of_the_registry(
        self, server: Server, method: str, path: str, status: int, code: str
    ) -> None:
        answer = server.client().request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        body = answer.json()
        assert (body["code"], body["status"], body["type"]) == (code, status, f"urn:bitbudget:problem:{code}")
        assert set(body) == {"type", "title", "status", "code", "detail", "hint", "pointers", "request_id"}
        assert body["request_id"] == answer.headers["x-request-id"]
        assert KINDS[code].title == body["title"]

    def test_405_names_every_method_of_the_address(self, server: Server) -> None:
        answer = server.client().put("/v1/studies/01900000-0000-7000-8000-000000000000")
        assert answer.headers["allow"] == "DELETE, GET, PATCH"

    def test_a_failure_of_ours_tells_nothing(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        secret = "postgresql://user:hunter2@host/db"

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError(secret)

        monkeypatch.setattr("service.store.db.studies.page", fail)
        answer = server.client().get("/v1/studies")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
        assert "hunter2" not in answer.text
        assert "Traceback" not in answer.text
        assert "RuntimeError" not in answer.text

    @pytest.mark.parametrize(
        "body", [b"{", b"[" * 100_000, b'{"name": "\\ud800", "scopes": ["read"]}', b'{"a":NaN}', b"\xff"], ids=range(5)
    )
    def test_a_body_that_cannot_be_read_is_the_callers_fault(self, server: Server, body: bytes) -> None:
        client, headers = server.client(), {"Content-Type": "application/json"}
        for method, path in (("POST", "/v1/keys"), ("PATCH", f"/v1/studies/{submit(client)}")):
            answer = client.request(method, path, content=body, headers=headers)
            assert answer.status_code in (400, 422)
            assert answer.headers["content-type"] == "application/problem+json"

    def test_packed_bodies_are_not_unpacked(self, server: Server) -> None:
        client = server.client()
        packed = gzip.compress(b"{}" * 10_000)
        for method, path in (("POST", "/v1/studies"), ("PUT", f"/v1/blobs/{sha256(packed)}")):
            headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
            answer = client.request(method, path, content=packed, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (415, "unsupported-media-type")
            assert "Content-Encoding" in answer.json()["detail"]
        assert client.head(f"/v1/blobs/{sha256(packed)}").status_code == 404

    def test_thousands_of_parameters_and_headers_do_not_stop_it(self, server: Server) -> None:
        client = server.client()
        assert client.get("/v1/studies?" + "&".join(f"a{n}=1" for n in range(5000))).status_code == 200
        parts = urlsplit(server.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100_000)
            assert b"400" in connection.recv(100)
        assert client.get("/livez").status_code == 200

    def test_a_length_and_chunks_at_once_are_refused(self, server: Server) -> None:
        parts = urlsplit(server.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
            head = f"POST /v1/studies HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {server.key()}\r\n"
            smuggled = "0\r\n\r\nGET /v1/keys HTTP/1.1\r\n\r\n"
            both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
            connection.sendall((head + both + smuggled).encode())
            answers = b"".join(iter(lambda: connection.recv(65536), b""))  # until the server closes
            assert answers.split()[1] == b"400"
            assert answers.count(b"HTTP/1.1 ") == 1, "what was smuggled is not answered"


class TestHeaders:
    def test_every_answer_is_protected(self, server: Server) -> None:
        for path in ("/v1/studies", "/nothing", "/livez", "/login"):
            headers = server.client().get(path).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in headers

    def test_a_request_id_is_kept_if_it_can_stand_in_a_log(self, server: Server) -> None:
        client = server.client()
        assert client.get("/livez", headers={"X-Request-ID": "job-1.2"}).headers["x-request-id"] == "job-1.2"
        for bad in ("a b", "x" * 65, "<script>", "-x"):
            found = client.get("/livez", headers={"X-Request-ID": bad}).headers["x-request-id"]
            assert re.fullmatch(r"[0-9a-f-]{36}", found)


class TestOperations:
    def test_health_and_version(self, both: Server) -> None:
        with both.anonymous() as client:
            assert client.get("/livez").json() == {"status": "ok"}
            for path in ("/livez", "/readyz"):  # as monitors ask
                probed = client.head(path)
                assert (probed.status_code, probed.content) == (200, b"")
            assert client.get("/readyz").json()["status"] == "ready"
        assert both.client().get("/version").json()["api"] == "v1"

    def test_not_ready_without_tables(self, empty_database: Database, tmp_path: Path) -> None:
        with serving(empty_database, tmp_path) as server, server.anonymous() as client:
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json()["schema_is_current"]) == (503, False)
            assert client.get("/livez").status_code == 200

    def test_not_ready_with_a_database_that_is_broken(self, sqlite_database: Database, tmp_path: Path) -> None:
        file = sqlite_database.file
        assert file is not None
        with serving(sqlite_database, tmp_path) as server, server.anonymous() as client:
            sqlite_database.close()
            for path in file.parent.iterdir():
                path.write_bytes(b"this is no database" * 100)
            answer = client.get("/readyz")
            assert (answer.status_code, answer.json()["database"]) == (503, False)
            assert client.get("/livez").status_code == 200

    def test_not_ready_with_the_tables_of_another_version(self, database: Database, tmp_path: Path) -> None:
        with serving(database, tmp_path) as server, server.anonymous() as client:
            with database.writing() as connection:
                connection.exec_driver_sql("UPDATE bitbudget_version SET version_num = '9999'")
            answer = client.get("/readyz")
            with database.writing() as connection:
                connection.exec_driver_sql(f"UPDATE bitbudget_version SET version_num = '{head()}'")
            assert (answer.status_code, answer.json()["schema_is_current"]) == (503, False)
            assert client.get("/readyz").status_code == 200

    def test_a_full_disk_is_said_and_not_ready(
        self, sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SQLite may use no page more, which it answers as it answers a full disk."""
        with serving(sqlite_database, tmp_path) as server:
            client = server.client()

            def fill(connection: sqlite3.Connection, _: object) -> None:
                connection.execute("PRAGMA max_page_count = 1")

            sqlite_database.engine.dispose()
            event.listen(sqlite_database.engine, "connect", fill)
            body = {"name": "x" * 100, "scopes": ["read"]}
            answers = [client.post("/v1/keys", json=body) for _ in range(50)]
            assert {one.status_code for one in answers} <= {201, 507}
            assert answers[-1].json()["code"] == "storage-full"
            assert client.get("/v1/keys").status_code == 200
            monkeypatch.setattr("service.api.health.LEAST_FREE", 2**62)
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["storage"]) == (503, False)

    def test_limits_are_told(self, server: Server) -> None:
        found = server.client().get("/v1/limits").json()
        assert found["max_model_bytes"] == server.settings.max_model_bytes
        assert found["stored_bytes"] == 0

    def test_metrics_count_studies_requests_and_trials_without_ids(self, both: Server) -> None:
        client = both.client()
        study = submit(client)
        for path in (f"/v1/studies/{study}", f"/v1/studies/{study}/trials/77", "/nothing/at/all"):
            client.get(path)
        with both.database.writing() as connection:
            workers.beat(connection, executor_id="e", host="h", pid=1, version="v", slots=1)
        text = client.get("/metrics").text
        families = {family.name: family for family in text_string_to_metric_families(text)}
        by_state = {sample.labels["state"]: sample.value for sample in families["bitbudget_studies"].samples}
        assert by_state["queued"] == 1
        assert families["bitbudget_workers"].samples[0].value == 1
        assert families["bitbudget_queue_age_seconds"].samples[0].value >= 0
        assert "bitbudget_trial_seconds" in families
        routes = {sample.labels["route"] for sample in families["bitbudget_http_requests"].samples}
        assert {"/v1/studies/{study_id}", "/v1/studies/{study_id}/trials/{no}", "unmatched"} <= routes
        assert study not in text
        assert sum(len(family.samples) for family in families.values()) < 500
        assert client.get("/v1/workers").json()["items"][0]["executor_id"] == "e"
