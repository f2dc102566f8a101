"""What is no HTTP request: the parser's refusals are problems too, and the server goes on."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest

from service.problems import KINDS
from tests.service.api.serving import Server


def said(server: Server, *parts: bytes) -> tuple[bytes, dict[str, str], bytes]:
    """First line, headers and body of what comes back on a connection of its own, until it is closed."""
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
        answer = b""
        while data := connection.recv(65536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = dict(line.decode().lower().split(": ", 1) for line in lines)
    return first, headers, body


HEAD = b"POST /v1/studies HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"garbage\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GE\0T /livez HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /\u00e9 HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
        b"GET /livez?" + b"a" * 70_000,
        b"GET /livez HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70_000,
        HEAD + b"Content-Length: abc\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    ],
    ids=range(14),
)
def test_it_is_refused_with_a_problem_of_the_registry(server: Server, sent: bytes) -> None:
    first, headers, body = said(server, sent)
    assert first == b"HTTP/1.1 400 Bad Request"
    assert (headers["content-type"], headers["connection"]) == ("application/problem+json", "close")
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    found = json.loads(body)
    assert set(found) == {"type", "title", "status", "code", "detail", "hint", "pointers", "request_id"}
    assert (found["code"], found["title"]) == ("bad-request", KINDS["bad-request"].title)
    assert found["request_id"] == headers["x-request-id"]
    assert server.client().get("/livez").status_code == 200


def test_a_chunk_without_a_size_ends_a_request_that_had_begun(server: Server) -> None:
    authorization = f"Authorization: Bearer {server.key()}\r\nContent-Type: application/json\r\n".encode()
    head = HEAD.replace(b"Host: x", f"Host: {urlsplit(server.url).netloc}".encode()) + authorization
    first, headers, body = said(server, head + b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n")
    assert first.split()[1] == b"400"
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] == "bad-request"
    assert server.client().get("/v1/studies").json()["items"] == []
