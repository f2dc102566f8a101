"""What the client does when answers do not come, and while it waits."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from service.client import Client
from service.client.errors import DamagedDownloadError, TemporaryError, UnreachableError, WaitTimeoutError
from service.client.retries import Retries
from service.contract import Event

FAST = Retries(outage_s=5.0, first_s=0.001, largest_s=0.002)
Handler = Callable[[httpx.Request], httpx.Response]


def client(handler: Handler, retries: Retries = FAST) -> Client:
    return Client("http://server", transport=httpx.MockTransport(handler), retries=retries)


class Failing:
    """Fails some times, then answers."""

    def __init__(self, *failures: Exception | httpx.Response, answer: object = None) -> None:
        self.failures = list(failures)
        self.requests: list[httpx.Request] = []
        self.answer = {} if answer is None else answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return failure
        return httpx.Response(200, json=self.answer)


def test_a_submission_is_repeated_with_the_same_key() -> None:
    server = Failing(httpx.ConnectError("no"), httpx.ReadError("cut"), httpx.Response(503), answer={"id": "1"})
    with client(server) as found:
        assert found.studies.submit({"model": "m"}).id == "1"
    keys = {one.headers["idempotency-key"] for one in server.requests}
    assert len(server.requests) == 4
    assert len(keys) == 1
    assert {one.content for one in server.requests} == {b'{"model":"m"}'}


def test_what_may_not_be_had_twice_is_repeated_only_if_it_surely_had_no_effect() -> None:
    cut = Failing(httpx.ReadError("cut"))
    with client(cut) as found, pytest.raises(UnreachableError, match="cut"):
        found.keys.create("k", ["read"])
    assert len(cut.requests) == 1
    refused = Failing(httpx.ConnectError("no"), httpx.Response(429), httpx.Response(503))
    with client(refused) as found:
        found.keys.create("k", ["read"])
    assert len(refused.requests) == 4


def test_repeating_ends_after_the_time_for_outages() -> None:
    server = Failing(*[httpx.Response(503)] * 1000)
    began = time.monotonic()
    with client(server, Retries(outage_s=0.1, first_s=0.01, largest_s=0.02)) as found, pytest.raises(TemporaryError):
        found.server.limits()
    assert time.monotonic() - began < 2
    assert 3 < len(server.requests) < 50


def test_the_server_says_how_long_to_wait() -> None:
    server = Failing(httpx.Response(429, headers={"Retry-After": "1"}))
    began = time.monotonic()
    with client(server) as found:
        found.server.limits()
    assert time.monotonic() - began >= 1


def test_an_upload_asks_first_and_is_sent_anew_from_its_beginning(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    server = Failing(httpx.Response(404), httpx.WriteError("cut"), httpx.Response(502))
    with client(server) as found:
        assert found.blobs.put(tmp_path / "file") == f"sha256:{digest}"
        assert [one.method for one in server.requests] == ["HEAD", "PUT", "PUT", "PUT"]
        assert server.requests[-1].content == data
        assert server.requests[-1].headers["content-length"] == str(len(data))
        found.blobs.put(tmp_path / "file")
    assert server.requests[-1].method == "HEAD"


def test_a_damaged_download_leaves_nothing(tmp_path: Path) -> None:
    with client(lambda _: httpx.Response(200, content=b"wrong")) as found:
        with pytest.raises(DamagedDownloadError):
            found.blobs.get("0" * 64, tmp_path / "x")
        assert list(tmp_path.iterdir()) == []
        found.blobs.get(hashlib.sha256(b"wrong").hexdigest(), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"wrong"


class Study:
    """A server with one study; its stream is cut after every event, and it is away now and then."""

    def __init__(self, n_events: int, *, has_streams: bool = True) -> None:
        self.n_events = n_events
        self.has_streams = has_streams
        self.asked = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.asked % 3 == 0:
            raise httpx.ConnectError("away")
        if not request.url.path.endswith("/events"):
            state = "succeeded" if self.asked > 4 * self.n_events else "running"
            return httpx.Response(200, json={"id": "1", "state": state})
        if "event-stream" not in request.headers["accept"]:
            after = int(request.url.params["after"])
            items = [{"id": n, "kind": "trial", "data": {}} for n in range(after + 1, self.n_events + 1)]
            return httpx.Response(200, json={"items": items})
        if not self.has_streams:
            return httpx.Response(429, json={"code": "too-many-streams"})
        seen = int(request.headers["last-event-id"])
        again = max(1, seen)  # a server that repeats one
        events = [f"id: {n}\nevent: trial\ndata: {json.dumps({'no': n})}\n\n" for n in range(again, seen + 2)]
        return httpx.Response(200, text="".join(events[: self.n_events]))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: sleep(seconds / 1000))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("has_streams", [True, False])
def test_waiting_outlives_outages_and_tells_every_event_once(has_streams: bool) -> None:
    told: list[Event] = []
    with client(Study(20, has_streams=has_streams)) as found:
        assert found.studies.wait("1", watch=told.append).state == "succeeded"
    assert [one.id for one in told] == list(range(1, len(told) + 1))
    assert len(told) >= 20


@pytest.mark.usefixtures("quick")
def test_waiting_ends_at_its_time() -> None:
    with client(Study(10**9)) as found, pytest.raises(WaitTimeoutError, match="goes on"):
        found.studies.wait("1", timeout_s=0.2)


@pytest.mark.usefixtures("quick")
def test_waiting_ends_with_an_outage_that_is_too_long() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("away")

    with client(away) as found, pytest.raises(UnreachableError):
        found.studies.wait("1", max_outage_s=0.1)
