"""The routes of webhooks, connections and quota over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.store.db import webhooks
from service.store.db.engine import Database
from service.usecases.webhooks.egress import Egress, Reply
from service.usecases.webhooks.sending import Sender
from tests.service.api.serving import Server, serving, sha256, spec_for, submit, upload

URL = "https://example.com/hook"
UNKNOWN = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def on(database: Database, tmp_path: Path) -> Iterator[Server]:
    """A server that sends webhooks; the test runs once on SQLite and once on PostgreSQL."""
    with serving(database, tmp_path, webhooks=True) as found:
        yield found


def made(client: httpx.Client, **body: object) -> dict[str, object]:
    answer = client.post("/v1/webhooks", json={"url": URL, **body})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/webhooks/{answer.json()['id']}"
    return dict(answer.json())


def deliver(server: Server, reply: Reply) -> int:
    class Fake(Egress):
        async def post(self, text: str, *, headers: object, body: bytes) -> Reply:
            return reply

    return Sender(server.database, Fake()).send_due()


def test_they_are_off_unless_switched_on(server: Server) -> None:
    answer = server.client().post("/v1/webhooks", json={"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "webhooks-off")
    assert server.client().get("/v1/webhooks").json() == {"items": []}


def test_only_administrators_handle_them(on: Server) -> None:
    hook = made(on.client())["id"]
    for scope in ("read", "submit"):
        client = on.client(scope)  # type: ignore[arg-type]
        assert client.post("/v1/webhooks", json={"url": URL}).status_code == 403
        assert client.get("/v1/webhooks").status_code == 403
        assert client.get(f"/v1/webhooks/{hook}/deliveries").status_code == 403


def test_another_tenant_s_webhook_is_an_unknown_one(on: Server) -> None:
    hook, mine = made(on.client())["id"], on.client(tenant="other")
    message = on.client().post(f"/v1/webhooks/{hook}/test").json()["id"]
    for method, rest in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/secrets"),
        ("DELETE", "/secrets/previous"),
        ("POST", "/test"),
        ("GET", "/deliveries"),
        ("POST", f"/deliveries/{message}/redeliver"),
    ]:
        theirs = mine.request(method, f"/v1/webhooks/{hook}{rest}")
        unknown = mine.request(method, f"/v1/webhooks/{UNKNOWN}{rest}")
        assert (theirs.status_code, theirs.json()["detail"]) == (404, unknown.json()["detail"])
    assert mine.patch(f"/v1/webhooks/{hook}", json={"active": False}).status_code == 404
    own = made(mine)["id"]
    assert mine.post(f"/v1/webhooks/{own}/deliveries/{message}/redeliver").status_code == 404


def test_a_secret_is_shown_once_and_changed_with_two_valid(on: Server) -> None:
    client = on.client()
    first = made(client)
    path = f"/v1/webhooks/{first['id']}"
    assert "secret" not in client.get(path).json()
    assert "whsec_" not in client.get("/v1/webhooks").text
    second = client.post(f"{path}/secrets").json()
    assert second["n_secrets"] == 2
    assert secrets(on, str(first["id"])) == (second["secret"], first["secret"])
    third = client.post(f"{path}/secrets").json()
    assert secrets(on, str(first["id"])) == (third["secret"], second["secret"])
    for _ in range(2):
        assert client.delete(f"{path}/secrets/previous").status_code == 204
        assert secrets(on, str(first["id"])) == (third["secret"],)
    actions = [one["action"] for one in client.get("/v1/audit").json()["items"]]
    assert actions[:4] == ["webhook.retire", "webhook.rotate", "webhook.rotate", "webhook.create"]
    assert "whsec_" not in client.get("/v1/audit").text


def secrets(server: Server, webhook_id: str) -> tuple[str, ...]:
    with server.database.reading() as connection:
        found = webhooks.get(connection, server.tenant(), webhook_id) if server.settings.webhooks else None
    assert found is not None
    return found.secrets


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "http://example.com/",
        "https://user@example.com/",
        "https://example.com/#x",
        "ftp://example.com/",
        "file:///etc/passwd",
    ],
)
def test_addresses_that_nothing_is_sent_to_are_refused(on: Server, url: str) -> None:
    client = on.client()
    answer = client.post("/v1/webhooks", json={"url": url})
    assert answer.status_code == 422
    assert answer.json()["pointers"][0]["pointer"] == "/url"
    hook = made(client)["id"]
    assert client.patch(f"/v1/webhooks/{hook}", json={"url": url}).status_code == 422


def test_changes_and_limits(on: Server) -> None:
    client = on.client()
    path = f"/v1/webhooks/{made(client, kinds=['study.failed'])['id']}"
    changed = client.patch(path, json={"active": False, "kinds": []}).json()
    assert (changed["active"], changed["kinds"], changed["url"]) == (False, [], URL)
    assert client.patch(path, json={"kinds": ["study.nothing"]}).status_code == 422
    assert client.patch(path, json={"secrets": ["x"]}).status_code == 422
    for _ in range(19):
        made(client)
    answer = client.post("/v1/webhooks", json={"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "too-many-webhooks")
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_the_log_shows_tries_and_sends_again(on: Server) -> None:
    client = on.client()
    path = f"/v1/webhooks/{made(client)['id']}"
    study = submit(client)
    assert deliver(on, Reply(500, "the receiver answered 500")) == 1
    (line,) = client.get(f"{path}/deliveries").json()["items"]
    assert (line["kind"], line["payload"]["id"], line["state"], line["attempts"], line["status"]) == (
        "study.queued",
        study,
        "pending",
        1,
        500,
    )
    again = client.post(f"{path}/deliveries/{line['id']}/redeliver")
    assert (again.status_code, again.json()["state"]) == (202, "pending")
    assert deliver(on, Reply(204, None)) == 1
    (line,) = client.get(f"{path}/deliveries").json()["items"]
    assert (line["state"], line["attempts"], line["status"], line["error"]) == ("delivered", 2, 204, None)
    test = client.post(f"{path}/test").json()
    page = client.get(f"{path}/deliveries", params={"limit": 1}).json()
    assert page["items"][0]["id"] == test["id"]
    assert page["items"][0]["kind"] == "webhook.test"
    rest = client.get(f"{path}/deliveries", params={"limit": 1, "cursor": page["next"]}).json()
    assert rest["items"] == [line]


def test_connections_are_listed_without_where_they_lead(sqlite_database: Database, tmp_path: Path) -> None:
    chosen = {
        "lab": {"kind": "local", "path": "/srv/hidden"},
        "cloud": {"kind": "s3", "bucket": "private-bucket", "secret_key": "hunter2"},
    }
    with serving(sqlite_database, tmp_path, connections=chosen) as server:
        answer = server.client("read").get("/v1/connections")
        assert answer.json() == {"items": [{"name": "cloud", "kind": "s3"}, {"name": "lab", "kind": "local"}]}
        assert "hidden" not in answer.text
        client = server.client()
        for reference in ("connection://lab/../x", "connection://lab/zip::x", "simplecache::file:///x", "s3://b/x"):
            refused = client.post("/v1/studies", json=spec_for(client, model=reference))
            assert (refused.status_code, refused.json()["code"]) == (422, "invalid-reference"), reference
        unknown = client.post("/v1/studies", json=spec_for(client, model="connection://nothing/x"))
        assert unknown.json()["code"] == "unknown-input"
        taken = client.post("/v1/studies", json=spec_for(client, model="connection://lab/net.onnx"))
        assert taken.status_code == 202


def test_uploads_end_with_the_quota(database: Database, tmp_path: Path) -> None:
    with serving(database, tmp_path, tenant_quota_bytes=100) as server:
        client = server.client()
        upload(client, b"x" * 85)
        assert client.get("/v1/audit").json()["items"][0]["action"] == "quota.warning"
        more = b"y" * 20
        answer = client.put(f"/v1/blobs/{sha256(more)}", content=more)
        assert (answer.status_code, answer.json()["code"]) == (409, "over-quota")
        chunked = client.put(f"/v1/blobs/{sha256(more)}", content=iter([more]))
        assert (chunked.status_code, chunked.json()["code"]) == (409, "over-quota")
        assert client.head(f"/v1/blobs/{sha256(more)}").status_code == 404
        upload(client, b"x" * 85)  # it is there already
        upload(client, b"z" * 15)
        limits = client.get("/v1/limits").json()
        assert (limits["tenant_quota_bytes"], limits["stored_bytes"]) == (100, 100)
        upload(server.client(tenant="other"), b"y" * 20)
