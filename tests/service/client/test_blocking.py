"""The blocking client runs the asyncio one: interrupts, forks, threads, callbacks and forgotten ends."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.client import Client
from service.client.errors import ApiError
from service.contract import Event

EVENTS = [{"id": n, "kind": "phase", "data": {}, "created": "2026-01-01T00:00:00Z"} for n in (1, 2, 3)]


def answer(request: httpx.Request) -> httpx.Response:
    if request.url.path.endswith("/events"):
        after = int(request.url.params.get("after", 0))
        return httpx.Response(200, json={"items": [one for one in EVENTS if one["id"] > after], "last": 3})
    return httpx.Response(200, json={"id": "1", "state": "succeeded", "version": 3})


def client() -> Client:
    return Client("http://server", transport=httpx.MockTransport(answer))


def test_nothing_runs_before_the_first_request_and_after_the_end() -> None:
    before = threading.active_count()
    with client() as found:
        assert threading.active_count() == before
        found.studies.get("1")
        assert threading.active_count() > before
    assert threading.active_count() == before
    found.close()


def test_a_callback_may_use_the_client_it_is_called_by() -> None:
    seen: list[tuple[int, int]] = []
    with client() as found:
        found.studies.wait("1", watch=lambda event: seen.append((event.id, found.studies.get("1").version)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_a_callback_raises_reaches_the_caller() -> None:
    def fail(event: Event) -> None:
        raise LookupError(str(event.id))

    with client() as found, pytest.raises(LookupError, match="1"):
        found.studies.wait("1", watch=fail)


def test_it_works_inside_of_an_event_loop_and_in_many_threads() -> None:
    async def inside() -> str:
        with client() as found:
            return found.studies.get("1").id

    assert asyncio.run(inside()) == "1"
    with client() as found, ThreadPoolExecutor(8) as pool:
        assert [one.id for one in pool.map(found.studies.get, ["1"] * 40)] == ["1"] * 40


def test_an_interrupt_ends_the_request_and_leaves_a_client_that_works() -> None:
    ended = threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    async def never(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/slow"):
            threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
            try:
                await asyncio.sleep(3600)
            finally:
                ended.set()
        return httpx.Response(200, json={"id": "1"})

    with Client("http://server", transport=httpx.MockTransport(never)) as found:
        with pytest.raises(KeyboardInterrupt):
            found.studies.get("slow")
        assert ended.wait(10)
        assert found.studies.get("1").id == "1"


def _asks_again(found: Client, results: multiprocessing.SimpleQueue[str]) -> None:
    results.put(found.studies.get("1").id)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_may_go_on_with_it() -> None:
    context = multiprocessing.get_context("fork")
    with client() as found:
        assert found.studies.get("1").id == "1"
        results = context.SimpleQueue()
        child = context.Process(target=_asks_again, args=(found, results))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert results.get() == "1"
        assert found.studies.get("1").id == "1"


def test_a_program_that_never_closes_it_ends() -> None:
    code = """
import httpx
from service.client import Client
found = Client("http://server", transport=httpx.MockTransport(lambda _: httpx.Response(200, json={"id": "1"})))
print(found.studies.get("1").id)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_one_that_is_forgotten_takes_its_thread_along() -> None:
    before = threading.active_count()
    found = client()
    found.studies.get("1")
    del found
    deadline = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_errors_are_those_of_the_asyncio_client() -> None:
    refusal = json.dumps({"code": "not-found", "detail": "gone", "hint": "look"}).encode()
    transport = httpx.MockTransport(lambda _: httpx.Response(404, content=refusal))
    with Client("http://server", transport=transport) as found, pytest.raises(ApiError, match="gone look"):
        found.studies.get("1")


def test_what_it_cannot_be_made_of_is_said_at_once() -> None:
    with pytest.raises(FileNotFoundError):
        Client("https://server", ca_bundle="/nowhere/ca.pem")
    with pytest.raises(TypeError, match="nonsense"):
        Client("http://server", nonsense=1)  # type: ignore[call-arg]
