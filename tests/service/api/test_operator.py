"""The operator sees and limits every tenant; a tenant's administrator sees none but his own."""

from __future__ import annotations

import pytest

from tests.service.api.serving import Server, submit


def test_tenants_with_what_they_use_and_may(server: Server) -> None:
    submit(server.client("submit", tenant="a"))
    client = server.client("operator")
    found = {one["name"]: one for one in client.get("/v1/operator/tenants").json()["items"]}
    assert (found["a"]["waiting"], found["a"]["running"], found["a"]["weight"]) == (1, 0, 1.0)
    assert found["a"]["max_queued"] == server.settings.max_queued_studies
    changed = client.patch("/v1/operator/tenants/a", json={"weight": 2.5, "max_queued": 1}).json()
    assert (changed["weight"], changed["max_queued"], changed["max_running"]) == (2.5, 1, None)
    kept = client.patch("/v1/operator/tenants/a", json={"max_queued": None}).json()
    assert (kept["weight"], kept["max_queued"]) == (2.5, server.settings.max_queued_studies)


@pytest.mark.parametrize(
    "body",
    [{"weight": 0}, {"weight": "2"}, {"max_running": 0}, {"max_running": 1.5}, {"day_seconds": -1}, {"priority": 1}],
)
def test_limits_that_cannot_be_are_refused(server: Server, body: dict[str, object]) -> None:
    answer = server.client("operator").patch("/v1/operator/tenants/a", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


def test_a_tenant_is_made_and_gets_its_first_key(server: Server) -> None:
    client = server.client("operator")
    wanted = {"name": "first", "scopes": ["admin"]}
    assert client.post("/v1/operator/tenants/new/keys", json=wanted).status_code == 404
    assert client.patch("/v1/operator/tenants/new", json={}).status_code == 200
    made = client.post("/v1/operator/tenants/new/keys", json=wanted)
    assert made.status_code == 201
    with server.anonymous(headers={"Authorization": f"Bearer {made.json()['key']}"}) as tenant:
        assert tenant.get("/v1/studies").json()["items"] == []
        assert {one["name"] for one in tenant.get("/v1/keys").json()["items"]} == {"first"}


def test_everybodys_audit_is_the_operators_and_names_the_tenant(server: Server) -> None:
    submit(server.client("submit", tenant="a"))
    submit(server.client("submit", tenant="b"))
    client = server.client("operator")
    client.patch("/v1/operator/tenants/a", json={"weight": 3})
    entries = client.get("/v1/operator/audit").json()["items"]
    assert {"a", "b"} <= {one["tenant"] for one in entries}
    assert (entries[0]["action"], entries[0]["tenant"]) == ("tenant.limits", "a")
    assert entries[0]["request_id"] is not None
    own = server.client("admin", tenant="b").get("/v1/audit").json()["items"]
    assert {one["action"] for one in own} >= {"study.submit"}
    assert not any(one["object"] == "a" for one in own)
