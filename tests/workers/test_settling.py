"""A round is settled by its results alone; where none come any more, whoever waits goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from search.tasks import ItemResult
from service.store.db import items, studies, tenants
from service.store.db import tasks as task_rows
from service.store.db.engine import Database
from service.store.db.tasks import TaskPlan
from service.store.settings import Settings
from tests.service.databases import sqlite_database
from workers import settling
from workers.rounds import item_digests
from workers.study_repository import StudyRepository
from workers.wakeup import WakeUps, wake_ups_of

__all__ = ["sqlite_database"]

WAIT_S = 60.0
PAYLOADS = [{"items": [{"kind": "evaluate", "context": "c", "params": {"n": n}}]} for n in range(2)]


@pytest.fixture
def wake_ups(sqlite_database: Database, tmp_path: Path) -> Iterator[WakeUps]:
    made = wake_ups_of(Settings(data_dir=tmp_path), sqlite_database, "worker")
    yield made
    made.close()


@pytest.fixture
def study(sqlite_database: Database) -> str:
    """A running study with two tasks of one item each."""
    with sqlite_database.writing() as c:
        tenant = tenants.ensure(c, "default")
        made = studies.add(c, tenant_id=tenant.id, spec={}, spec_digest="0" * 64, target="j6m", problem={}, limits={})
        studies.transition(c, made.id, expect={"queued"}, to="running")
        plans = [
            TaskPlan(digest=f"{n}", kind="evaluate", label="evaluate", n_items=1, payload=payload)
            for n, payload in enumerate(PAYLOADS)
        ]
        task_rows.put(c, study_id=made.id, tenant_id=tenant.id, plans=plans)
    return made.id


def store(database: Database, study: str, n: int) -> None:
    with database.writing() as c:
        row = studies.load(c, study)
        assert row is not None
        (digest,) = item_digests(PAYLOADS[n])
        items.put(c, study_id=study, tenant_id=row.tenant_id, result=ItemResult(digest, "evaluate", {}))


def settled(
    database: Database, wake_ups: WakeUps, study: str, then: Callable[[], None], is_over: Callable[[], Awaitable[bool]]
) -> None:
    """Wait for the round while something happens."""

    async def wait() -> None:
        waiting = asyncio.create_task(
            settling.settle(StudyRepository(database, "worker"), wake_ups, study, [1, 2], is_over)
        )
        await asyncio.sleep(0.05)
        assert not waiting.done()
        then()
        wake_ups.send(study)
        await asyncio.wait_for(waiting, WAIT_S)

    asyncio.run(wait())


async def never() -> bool:
    return False


def test_it_ends_with_the_last_result(sqlite_database: Database, wake_ups: WakeUps, study: str) -> None:
    store(sqlite_database, study, 0)
    settled(sqlite_database, wake_ups, study, lambda: store(sqlite_database, study, 1), never)


def test_it_ends_with_a_study_that_does_not_run(sqlite_database: Database, wake_ups: WakeUps, study: str) -> None:
    def pause() -> None:
        with sqlite_database.writing() as c:
            studies.transition(c, study, expect={"running"}, to="paused")

    settled(sqlite_database, wake_ups, study, pause, never)


def test_it_ends_when_nobody_works_on_it(
    sqlite_database: Database, wake_ups: WakeUps, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "POLL_S", 0.2)
    over = iter([False, True])

    async def is_over() -> bool:
        return next(over)

    settled(sqlite_database, wake_ups, study, lambda: None, is_over)


def test_a_task_that_was_given_up_is_an_error(
    sqlite_database: Database, wake_ups: WakeUps, study: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "POLL_S", 0.2)

    async def is_over() -> bool:
        raise RuntimeError("Given up: a.")

    with pytest.raises(RuntimeError, match="Given up"):
        settled(sqlite_database, wake_ups, study, lambda: None, is_over)
