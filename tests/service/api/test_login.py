"""Signing in with a cookie."""

import pytest

from service.web.login import safe_target
from tests.service.api.serving import Server, spec_for


def test_a_key_becomes_a_cookie_that_no_script_reads_and_no_other_site_sends(both: Server) -> None:
    client = both.anonymous()
    answer = client.post("/login", data={"key": both.key(), "next": "/studies?a=1"}, headers={"Origin": both.url})
    assert (answer.status_code, answer.headers["location"]) == (303, "/studies?a=1")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "max-age=43200" in cookie
    assert "path=/" in cookie
    assert client.get("/v1/studies").status_code == 200


def test_it_ends_with_the_logout(server: Server) -> None:
    client = server.anonymous()
    client.post("/login", data={"key": server.key()}, headers={"Origin": server.url})
    token = client.cookies["bitbudget_session"]
    assert client.post("/logout", headers={"Origin": server.url}).status_code == 303
    assert "bitbudget_session" not in client.cookies
    with server.anonymous(cookies={"bitbudget_session": token}) as again:
        assert again.get("/v1/studies").status_code == 401


def test_it_ends_with_its_key(server: Server) -> None:
    client, admin = server.anonymous(), server.client()
    client.post("/login", data={"key": server.key("read")}, headers={"Origin": server.url})
    assert client.get("/v1/studies").status_code == 200
    key = next(one for one in admin.get("/v1/keys").json()["items"] if one["scopes"] == ["read"])
    admin.post(f"/v1/keys/{key['id']}/revoke")
    assert client.get("/v1/studies").status_code == 401


def test_a_wrong_key_is_refused_on_the_page(server: Server) -> None:
    with server.anonymous() as client:
        answer = client.post("/login", data={"key": "<script>"}, headers={"Origin": server.url})
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
        assert "<script>" not in answer.text
        page = client.get("/login?next=%22%3E%3Cscript%3E")
        assert "<script>" not in page.text
        assert "form-action 'self'" in page.headers["content-security-policy"]


def test_a_form_of_another_site_is_refused(server: Server) -> None:
    client = server.anonymous()
    for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = client.post("/login", data={"key": server.key()}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross-origin")


def test_the_cookie_does_not_work_from_another_site(server: Server) -> None:
    client = server.anonymous()
    client.post("/login", data={"key": server.key()}, headers={"Origin": server.url})
    spec = spec_for(server.client())
    for headers in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert client.post("/v1/studies", json=spec, headers=headers).json()["code"] == "cross-origin"
    assert client.post("/v1/studies", json=spec, headers={"Origin": server.url}).status_code == 202
    assert client.post("/v1/studies", json=spec, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 202


@pytest.mark.parametrize(
    "text",
    ["https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil", "javascript:x", "", "x", "/a\r\nb", "/é"],
)
def test_the_login_sends_nobody_to_another_site(text: str) -> None:
    assert safe_target(text) == "/"
    assert safe_target("/studies/x?tab=1#y") == "/studies/x?tab=1#y"
