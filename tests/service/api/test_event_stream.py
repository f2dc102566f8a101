"""Server-sent events: in order, none lost, none twice."""

import random
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api import events as module
from service.store.db import events
from service.store.db.engine import Database
from tests.service.api.serving import Server, serving, submit

STREAM = {"Accept": "text/event-stream"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.02)


def append(server: Server, study: str, tenant: str, n: int) -> None:
    with server.database.writing() as connection:
        events.append(connection, study_id=study, tenant_id=tenant, kind="trial", data={"no": n})


def read(client: httpx.Client, study: str, *, last: str = "", most: int | None = None) -> list[tuple[str, str]]:
    """Ids and kinds of a stream, until it ends or ``most`` events came."""
    headers = {**STREAM, **({"Last-Event-ID": last} if last else {})}
    found: list[tuple[str, str]] = []
    with client.stream("GET", f"/v1/studies/{study}/events", headers=headers) as answer:
        if answer.status_code == 204:
            return found
        assert answer.status_code == 200
        event: dict[str, Any] = {}
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            event[name] = value
            if line == "" and "id" in event:
                found.append((event["id"], event["event"]))
                event = {}
                if most is not None and len(found) >= most:
                    break
    return found


def test_a_stream_gives_everything_and_ends_with_the_study(both: Server) -> None:
    client = both.client()
    study = submit(client)
    both.finish(study)
    assert [kind for _, kind in read(client, study)] == ["state", "state", "state"]


def test_a_client_that_saw_everything_of_an_ended_study_need_not_come_again(server: Server) -> None:
    client = server.client()
    study = submit(client)
    server.finish(study)
    (*_, (last, _)) = read(client, study)
    answer = client.get(f"/v1/studies/{study}/events", headers={**STREAM, "Last-Event-ID": last})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_hundred_disconnects_lose_and_repeat_nothing(both: Server) -> None:
    client = both.client()
    study, tenant = submit(client), both.tenant()
    chance = random.Random(0)

    def work() -> None:
        for n in range(250):
            append(both, study, tenant, n)
        both.finish(study)

    writer = threading.Thread(target=work)
    writer.start()
    seen: list[tuple[str, str]] = []
    for _ in range(100):
        seen += read(client, study, last=seen[-1][0] if seen else "", most=chance.randint(1, 3))
    writer.join()
    seen += read(client, study, last=seen[-1][0])
    with both.database.reading() as connection:
        stored = events.after(connection, tenant_id=tenant, study_id=study, limit=1000)
    assert [int(found) for found, _ in seen] == [event.id for event in stored]
    assert len(stored) == 253


def test_polling_gives_the_same(server: Server) -> None:
    client = server.client()
    study, tenant = submit(client), server.tenant()
    for n in range(5):
        append(server, study, tenant, n)
    first = client.get(f"/v1/studies/{study}/events?limit=2").json()
    rest = client.get(f"/v1/studies/{study}/events?after={first['last']}").json()
    assert [one["kind"] for one in first["items"] + rest["items"]] == ["state", *["trial"] * 5]
    assert rest["items"][-1]["data"] == {"no": 4}
    nothing = client.get(f"/v1/studies/{study}/events?after={rest['last']}").json()
    assert nothing == {"items": [], "last": rest["last"]}


def test_a_silent_stream_says_now_and_then_that_it_lives(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.1)
    client = server.client()
    study = submit(client)
    with client.stream("GET", f"/v1/studies/{study}/events", headers=STREAM) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        assert any(line.startswith(": ") for line in answer.iter_lines())


def test_a_key_may_hold_so_many_streams(sqlite_database: Database, tmp_path: Path) -> None:
    with serving(sqlite_database, tmp_path, max_streams_per_key=1) as server:
        client = server.client()
        study = submit(client)
        path = f"/v1/studies/{study}/events"
        with client.stream("GET", path, headers=STREAM) as answer:
            lines = answer.iter_lines()
            while not next(lines).startswith("id"):
                pass
            refused = client.get(path, headers=STREAM)
            assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
        for _ in range(100):  # the server notices soon that the first one has gone
            if len(read(client, study, most=1)) == 1:
                break


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 19, "١"])
def test_an_id_that_is_none_is_refused(server: Server, last: str) -> None:
    client = server.client()
    study = submit(client)
    answer = client.get(f"/v1/studies/{study}/events", headers={"Last-Event-ID": last.encode()})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


def test_a_deleted_study_ends_its_stream(server: Server) -> None:
    client = server.client()
    study = submit(client)
    with client.stream("GET", f"/v1/studies/{study}/events", headers=STREAM) as answer:
        lines = answer.iter_lines()
        while not next(lines).startswith("id"):
            pass
        other = server.client()
        other.delete(f"/v1/studies/{study}")
        other.delete(f"/v1/studies/{study}")
        list(lines)
