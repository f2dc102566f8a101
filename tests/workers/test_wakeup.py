"""A wake-up wakes whoever waits for its name, in this process and in others; one that gets lost does no harm."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.store.db.engine import Database
from service.store.settings import Settings
from tests.service.databases import database
from workers.wakeable import WakeableEvent
from workers.wakeup import WakeUps, wake_from, wake_ups_of
from workers.wakeup_local import LocalTransport

__all__ = ["database"]

WAIT_S = 30.0


@contextmanager
def wake_ups_at(database: Database, folder: Path, own: str) -> Iterator[WakeUps]:
    """One process's end, as far as others can tell."""
    made = wake_ups_of(Settings(data_dir=folder), database, own)
    made.start()
    try:
        yield made
    finally:
        made.close()


def until_heard(ringing: WakeUps, name: str, heard: threading.Event) -> None:
    """Send until it is received: the other end may not have begun to listen."""
    for _ in range(int(WAIT_S / 0.1)):
        ringing.send(name)
        if heard.wait(0.1):
            return
    raise AssertionError("nobody received the wake-up")


def test_a_wake_up_is_received_here_and_elsewhere_by_whoever_waits_for_its_name(
    database: Database, tmp_path: Path
) -> None:
    events = [threading.Event() for _ in range(3)]
    with (
        wake_ups_at(database, tmp_path, "a") as ours,
        wake_ups_at(database, tmp_path, "b") as theirs,
        ExitStack() as stack,
    ):
        stack.enter_context(ours.subscribed("study", events[0].set))
        stack.enter_context(theirs.subscribed("study", events[1].set))
        stack.enter_context(theirs.subscribed("another", events[2].set))
        until_heard(ours, "study", events[1])
        assert events[0].is_set()
        assert not events[2].is_set()
        until_heard(ours, "another", events[2])


def test_a_process_without_a_bell_rings_from_inside_a_transaction(database: Database, tmp_path: Path) -> None:
    heard = threading.Event()
    with wake_ups_at(database, tmp_path, "a") as ours, ours.subscribed("search", heard.set):
        for _ in range(int(WAIT_S / 0.1)):  # ours may not have begun to listen
            with database.writing() as connection:
                wake_from(connection, Settings(data_dir=tmp_path), "search")
            if heard.wait(0.1):
                return
    raise AssertionError("nobody received the wake-up")


def test_a_ring_where_nobody_listens_does_no_harm(database: Database, tmp_path: Path) -> None:
    with database.writing() as connection:
        wake_from(connection, Settings(data_dir=tmp_path / "nothing here"), "search")
        assert connection.execute(sa.select(1)).scalar() == 1


def test_whoever_waits_no_more_is_not_woken(database: Database, tmp_path: Path) -> None:
    woken: list[str] = []
    with wake_ups_at(database, tmp_path, "a") as ours:
        with ours.subscribed("study", lambda: woken.append("while")):
            ours.send_here("study")
        ours.send_here("study")
    assert woken == ["while"]


def test_a_ring_between_two_looks_is_not_lost(database: Database, tmp_path: Path) -> None:
    async def look_twice(ours: WakeUps) -> None:
        with ours.awaited("study") as news:
            ours.send("study")  # after a look that found nothing
            await asyncio.wait_for(news.wait(), WAIT_S)

    with wake_ups_at(database, tmp_path, "a") as ours:
        asyncio.run(look_twice(ours))


def test_the_pipe_of_a_process_that_has_ended_is_deleted(tmp_path: Path) -> None:
    ours = LocalTransport(tmp_path, "a")
    os.mkfifo(tmp_path / "dead.fifo")
    ours.tell("study")
    assert [path.name for path in tmp_path.iterdir()] == ["a.fifo"]


def test_a_process_that_sleeps_does_not_stop_whoever_rings(tmp_path: Path) -> None:
    ours, sleeper = LocalTransport(tmp_path, "a"), LocalTransport(tmp_path, "b")
    for _ in range(3000):  # more than a pipe holds
        ours.tell("s" * 40)
    heard: list[str] = []
    thread = threading.Thread(target=sleeper.listen, args=(heard.append,))
    thread.start()
    while not heard:
        ours.tell("study")
    sleeper.close()
    thread.join(WAIT_S)
    assert heard[0] == "s" * 40


@pytest.mark.parametrize("before", [True, False])
def test_a_wakeable_event_ends_the_wait_at_hand_or_the_next_one(before: bool) -> None:
    event = WakeableEvent()
    ringing = event.wake if before else lambda: None
    ringing()
    timer = threading.Timer(0.05, event.wake)
    timer.start()
    assert event.wait(WAIT_S) is False  # not the end
    timer.join()


def test_after_a_wake_up_a_wakeable_event_lets_look_twice() -> None:
    event = WakeableEvent()
    event.wake()
    assert event.wait(WAIT_S) is False
    begun = time.monotonic()
    assert event.wait(1000.0) is False  # the echo
    assert time.monotonic() - begun < WAIT_S


def test_a_wakeable_event_that_is_set_ends_the_loop() -> None:
    event = WakeableEvent()
    event.set()
    assert event.wait(WAIT_S) is True
