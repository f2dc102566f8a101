"""Who gets in: nobody without a valid key, except to the public addresses."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Mount, Route

from service.app import create_app
from service.contract import Scope
from service.http.gate import PUBLIC, PUBLIC_PREFIX
from service.http.paths import all_routes
from service.store.db import keys
from service.store.db.engine import Database
from service.store.settings import Settings, SettingsError
from service.usecases.accounts.keys import make_key
from tests.service.api.serving import FakeEngine, Server, serving, sha256, spec_for, submit

UNKNOWN = "01900000-0000-7000-8000-000000000000"


def addresses(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and a concrete path of every route and mount."""
    for found in all_routes(app.routes):
        path = re.sub(r"\{sha256\}", "0" * 64, found.path)
        path = re.sub(r"\{no\}", "1", path)
        path = re.sub(r"\{[^}]*\}", UNKNOWN, path)
        if isinstance(found.route, Mount):
            yield "GET", f"{path}/anything"
        else:
            assert isinstance(found.route, Route), f"a route of an unknown kind: {found.route!r}"
            for method in sorted(found.route.methods or ()):
                yield method, path


class TestWithoutAKey:
    def test_every_route_and_mount_but_the_public_ones_answers_401(self, server: Server) -> None:
        async def reached(scope: object, receive: object, send: object) -> None:
            raise AssertionError("a mounted application was reached")

        server.app.mount("/mounted", app=reached)
        walked = list(addresses(server.app))
        assert len(walked) > 50
        with server.anonymous() as client:
            for method, path in walked:
                if path in PUBLIC or path.startswith(PUBLIC_PREFIX):
                    continue
                answer = client.request(method, path)
                assert answer.status_code == 401, f"{method} {path}"
                if method != "HEAD":
                    assert answer.json()["code"] == "unauthenticated"
                assert answer.headers["www-authenticate"].startswith("Bearer")

    def test_the_public_list_is_short(self) -> None:
        assert {"/livez", "/readyz", "/login"} == PUBLIC
        assert PUBLIC_PREFIX == "/static/"

    def test_an_unknown_address_is_401_too_and_tells_nothing(self, server: Server) -> None:
        with server.anonymous() as client:
            assert client.get("/v1/nothing/here").status_code == 401
            assert client.get("/static/../v1/studies").status_code == 401
            assert client.get("/static/%2e%2e/v1/studies").status_code in (401, 404)

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Bearer",
            "Bearer x",
            "Basic YTpi",
            "Bearer bbk_aaaaaaaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_00000000",
            "Bearer " + "x" * 8000,
            "bearer \x7f",
        ],
    )
    def test_garbage_is_401(self, server: Server, header: str) -> None:
        with server.anonymous(headers={"Authorization": header}) as client:
            assert client.get("/v1/studies").status_code == 401

    def test_a_key_in_the_address_is_no_key(self, server: Server) -> None:
        with server.anonymous() as client:
            assert client.get("/v1/studies", params={"key": server.key()}).status_code == 401

    def test_a_person_who_looks_at_a_page_is_sent_to_the_login(self, server: Server) -> None:
        with server.anonymous(headers={"Accept": "text/html"}) as client:
            answer = client.get("/studies/x?tab=1")
            assert answer.status_code == 303
            assert answer.headers["location"] == "/login?next=%2Fstudies%2Fx%3Ftab%3D1"
            assert client.get("/v1/studies").status_code == 401


class TestWithAKey:
    def test_a_revoked_key_is_refused_at_once(self, server: Server) -> None:
        admin, victim = server.client("admin"), server.client("read")
        assert victim.get("/v1/studies").status_code == 200
        found = admin.get("/v1/keys").json()["items"][0]
        assert admin.post(f"/v1/keys/{found['id']}/revoke").json()["revoked"] is not None
        assert victim.get("/v1/studies").status_code == 401

    def test_an_expired_key_is_refused(self, server: Server) -> None:
        tenant = server.tenant()
        with server.database.writing() as connection:
            made = make_key(
                connection,
                tenant_id=tenant,
                name="old",
                scopes=("admin",),
                actor="test",
                expires=datetime.now(UTC) - timedelta(seconds=1),
            )
        with server.anonymous(headers={"Authorization": f"Bearer {made.text}"}) as client:
            assert client.get("/v1/studies").status_code == 401

    def test_a_key_cannot_revoke_itself(self, server: Server) -> None:
        client = server.client()
        (own,) = client.get("/v1/keys").json()["items"]
        assert client.post(f"/v1/keys/{own['id']}/revoke").json()["code"] == "in-use"

    def test_a_key_that_may_only_read_writes_nothing(self, server: Server) -> None:
        client = server.client("read")
        for method, path in addresses(server.app):
            if method not in ("GET", "HEAD") and path not in ("/login", "/logout"):
                answer = client.request(method, path)
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), f"{method} {path}"

    def test_every_scope_opens_its_own_addresses_and_no_others(self, server: Server) -> None:
        reads = ("/v1/studies", "/v1/limits", "/version", "/system")
        administers = ("/v1/keys", "/v1/audit", "/v1/webhooks")
        operates = ("/v1/workers", "/v1/operator/tenants", "/v1/operator/audit")
        opens: dict[Scope, tuple[str, ...]] = {
            "metrics": ("/metrics",),
            "read": reads,
            "submit": reads,
            "admin": (*reads, *administers),
            "operator": (*operates, "/metrics"),
        }
        for scope, addresses_of in opens.items():
            client = server.client(scope)
            for path in (*reads, *administers, *operates, "/metrics"):
                expected = 200 if path in addresses_of else 403
                assert client.get(path).status_code == expected, f"{scope} {path}"

    def test_an_administrator_makes_no_key_that_may_more_than_he(self, server: Server) -> None:
        client = server.client("admin")
        for scope in ("operator", "metrics"):
            answer = client.post("/v1/keys", json={"name": "x", "scopes": ["read", scope]})
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        both = server.client("admin", "operator")
        assert both.post("/v1/keys", json={"name": "x", "scopes": ["metrics"]}).status_code == 201

    def test_keys_are_for_administrators(self, server: Server) -> None:
        client = server.client("submit")
        assert client.post("/v1/keys", json={"name": "x", "scopes": ["admin"]}).status_code == 403
        assert client.get("/v1/studies").status_code == 200

    def test_the_secret_is_nowhere_in_the_database(self, server: Server) -> None:
        text = server.key()
        with server.database.reading() as connection:
            (row,) = keys.page(connection).rows
        assert text.rpartition("_")[0].rpartition("_")[2] not in repr(row)
        assert row.prefix == text[: len(row.prefix)]

    def test_asking_too_often_is_429_with_the_time_to_wait(self, sqlite_database: Database, tmp_path: Path) -> None:
        with serving(sqlite_database, tmp_path, requests_per_s=0.5, request_burst=2) as server:
            client = server.client("read")
            codes = [client.get("/v1/studies").status_code for _ in range(3)]
            assert codes == [200, 200, 429]
            assert client.get("/v1/studies").headers["retry-after"] == "2"
            assert server.client("read").get("/v1/studies").status_code == 200


class TestTenants:
    def test_another_tenants_things_answer_like_unknown_ones(self, both: Server) -> None:
        mine, other = both.client(), both.client(tenant="other")
        study = submit(mine)
        both.deliver(study, {"result.json": b"{}"})
        spec = spec_for(mine)
        digest = spec["model"].removeprefix("sha256:")
        model = mine.post("/v1/models", json={"digest": digest}).json()["id"]
        dataset = mine.post("/v1/datasets", json={"files": {"a.npy": digest}}).json()["id"]
        key = mine.get("/v1/keys").json()["items"][0]["id"]
        pairs = [
            (f"/v1/models/{model}", f"/v1/models/{UNKNOWN}"),
            (f"/v1/datasets/{dataset}", f"/v1/datasets/{UNKNOWN}"),
        ]
        pairs += [(f"/v1/keys/{key}", f"/v1/keys/{UNKNOWN}"), (f"/v1/blobs/{digest}", f"/v1/blobs/{'0' * 64}")]
        parts = ("", "/trials", "/trials/1", "/front", "/sensitivity", "/layers", "/findings", "/events", "/artifacts")
        pairs += [(f"/v1/studies/{study}{part}", f"/v1/studies/{UNKNOWN}{part}") for part in parts]
        pairs += [(f"/v1/studies/{study}/artifacts/result.json", f"/v1/studies/{UNKNOWN}/artifacts/result.json")]
        for there, nowhere in pairs:
            assert same(other.get(there), other.get(nowhere)), there
            assert mine.get(there).status_code == 200 or there.endswith("/trials/1")
        for action in ("cancel", "pause", "resume"):
            found, unknown = (other.post(f"/v1/studies/{one}/{action}") for one in (study, UNKNOWN))
            assert same(found, unknown)
        assert same(other.delete(f"/v1/studies/{study}"), other.delete(f"/v1/studies/{UNKNOWN}"))
        assert same(other.delete(f"/v1/models/{model}"), other.delete(f"/v1/models/{UNKNOWN}"))
        refused = other.post("/v1/studies", json=spec)
        assert refused.json()["code"] == "unknown-input"
        for path in ("/v1/studies", "/v1/models", "/v1/datasets"):
            assert other.get(path).json()["items"] == []
        assert mine.get(f"/v1/studies/{study}").json()["state"] == "queued"

    def test_an_upload_does_not_tell_whether_others_have_the_bytes(self, server: Server) -> None:
        data = b"the same bytes"
        path = f"/v1/blobs/{sha256(data)}"
        mine, other = server.client(), server.client(tenant="other")
        assert mine.put(path, content=data).status_code == 201
        assert other.head(path).status_code == 404
        assert other.put(path, content=data).status_code == 201
        assert other.put(path, content=data).status_code == 200


def same(a: httpx.Response, b: httpx.Response) -> bool:
    """Whether two answers differ in nothing but their request's id."""
    first, second = a.json(), b.json()
    assert first.pop("request_id") != second.pop("request_id")
    return a.status_code == b.status_code == 404 and first == second


class TestWithoutAuthentication:
    def test_it_is_refused_on_any_other_address_than_loopback(self, sqlite_database: Database, tmp_path: Path) -> None:
        settings = Settings(data_dir=tmp_path, host="0.0.0.0")
        with pytest.raises(SettingsError, match=r"only listen on 127\.0\.0\.1"):
            create_app(settings, FakeEngine(), database=sqlite_database, authenticate=False)

    def test_everybody_on_this_machine_is_administrator(self, sqlite_database: Database, tmp_path: Path) -> None:
        with serving(sqlite_database, tmp_path, authenticate=False) as server, server.anonymous() as client:
            assert client.get("/v1/keys").json()["items"] == []
            submit(client)

    def test_a_page_elsewhere_cannot_use_it(self, sqlite_database: Database, tmp_path: Path) -> None:
        with serving(sqlite_database, tmp_path, authenticate=False) as server, server.anonymous() as client:
            evil = {"Origin": "http://evil.example"}
            assert client.post("/v1/studies", json={}, headers=evil).json()["code"] == "cross-origin"
            rebound = client.get("/v1/studies", headers={"Host": "evil.example"})
            assert (rebound.status_code, rebound.json()["code"]) == (421, "wrong-host")
