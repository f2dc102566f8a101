"""A ring wakes whoever waits for its name, in this process and in others; one that gets lost does no harm."""

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
from workers.alarm import Alarm
from workers.bell import Bell, bell_of, ring_for
from workers.pipes import Pipes

__all__ = ["database"]

WAIT_S = 30.0


@contextmanager
def bell(database: Database, folder: Path, own: str) -> Iterator[Bell]:
    """One process's end, as far as others can tell."""
    made = bell_of(Settings(data_dir=folder), database, own)
    made.start()
    try:
        yield made
    finally:
        made.close()


def until_heard(ringing: Bell, name: str, heard: threading.Event) -> None:
    """Ring until it is heard: the other end may not have begun to listen."""
    for _ in range(int(WAIT_S / 0.1)):
        ringing.ring(name)
        if heard.wait(0.1):
            return
    raise AssertionError("nobody heard the bell")


def test_a_ring_is_heard_here_and_elsewhere_by_whoever_waits_for_its_name(database: Database, tmp_path: Path) -> None:
    events = [threading.Event() for _ in range(3)]
    with bell(database, tmp_path, "a") as ours, bell(database, tmp_path, "b") as theirs, ExitStack() as stack:
        stack.enter_context(ours.waking("study", events[0].set))
        stack.enter_context(theirs.waking("study", events[1].set))
        stack.enter_context(theirs.waking("another", events[2].set))
        until_heard(ours, "study", events[1])
        assert events[0].is_set()
        assert not events[2].is_set()
        until_heard(ours, "another", events[2])


def test_a_process_without_a_bell_rings_from_inside_a_transaction(database: Database, tmp_path: Path) -> None:
    heard = threading.Event()
    with bell(database, tmp_path, "a") as ours, ours.waking("search", heard.set):
        for _ in range(int(WAIT_S / 0.1)):  # ours may not have begun to listen
            with database.writing() as connection:
                ring_for(connection, Settings(data_dir=tmp_path), "search")
            if heard.wait(0.1):
                return
    raise AssertionError("nobody heard the bell")


def test_a_ring_where_nobody_listens_does_no_harm(database: Database, tmp_path: Path) -> None:
    with database.writing() as connection:
        ring_for(connection, Settings(data_dir=tmp_path / "nothing here"), "search")
        assert connection.execute(sa.select(1)).scalar() == 1


def test_whoever_waits_no_more_is_not_woken(database: Database, tmp_path: Path) -> None:
    woken: list[str] = []
    with bell(database, tmp_path, "a") as ours:
        with ours.waking("study", lambda: woken.append("while")):
            ours.ring_here("study")
        ours.ring_here("study")
    assert woken == ["while"]


def test_a_ring_between_two_looks_is_not_lost(database: Database, tmp_path: Path) -> None:
    async def look_twice(ours: Bell) -> None:
        with ours.heard("study") as news:
            ours.ring("study")  # after a look that found nothing
            await asyncio.wait_for(news.wait(), WAIT_S)

    with bell(database, tmp_path, "a") as ours:
        asyncio.run(look_twice(ours))


def test_the_pipe_of_a_process_that_has_ended_is_deleted(tmp_path: Path) -> None:
    ours = Pipes(tmp_path, "a")
    os.mkfifo(tmp_path / "dead.bell")
    ours.tell("study")
    assert [path.name for path in tmp_path.iterdir()] == ["a.bell"]


def test_a_process_that_sleeps_does_not_stop_whoever_rings(tmp_path: Path) -> None:
    ours, sleeper = Pipes(tmp_path, "a"), Pipes(tmp_path, "b")
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
def test_an_alarm_ends_the_wait_at_hand_or_the_next_one(before: bool) -> None:
    alarm = Alarm()
    ringing = alarm.ring if before else lambda: None
    ringing()
    timer = threading.Timer(0.05, alarm.ring)
    timer.start()
    assert alarm.wait(WAIT_S) is False  # not the end
    timer.join()


def test_after_a_ring_an_alarm_lets_look_twice() -> None:
    alarm = Alarm()
    alarm.ring()
    assert alarm.wait(WAIT_S) is False
    begun = time.monotonic()
    assert alarm.wait(1000.0) is False  # the echo
    assert time.monotonic() - begun < WAIT_S


def test_an_alarm_that_is_set_ends_the_loop() -> None:
    alarm = Alarm()
    alarm.set()
    assert alarm.wait(WAIT_S) is True
