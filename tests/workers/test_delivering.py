"""What a study that is being cancelled may still compute, and for how long."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.store.blobs.store import BlobStore
from service.store.db import studies, tasks
from service.store.db.engine import Database
from service.store.db.tasks import TaskPlan
from service.store.settings import Settings
from tests.service.databases import sqlite_database
from tests.service.store.db.rows import study, tenant
from workers import runner as runner_module
from workers.failures import StudyFailedError
from workers.runner import Runner
from workers.study_repository import StudyRepository, is_wanted
from workers.wakeup import wake_ups_of

__all__ = ["sqlite_database"]


@pytest.fixture
def cancelling(sqlite_database: Database) -> str:
    """A study that is being cancelled, with a task of before and a task that delivers."""
    with sqlite_database.writing() as connection:
        owner = tenant(connection)
        made = study(connection, owner).id
        studies.transition(connection, made, expect={"queued"}, to="running")
        plans = [TaskPlan(digest=f"{n}" * 64, kind="evaluate", label="evaluate", n_items=1) for n in (1, 2)]
        tasks.put(connection, study_id=made, tenant_id=owner, plans=plans)
        studies.transition(connection, made, expect={"running"}, to="cancelling")
        studies.update(connection, made, progress={"run": 1, "delivers": [2]})
    return made


def state(database: Database, study_id: str) -> str:
    with database.reading() as connection:
        found = studies.load(connection, study_id)
    assert found is not None
    return found.state


def test_it_goes_on_with_the_best_so_far_and_begins_nothing_else(sqlite_database: Database, cancelling: str) -> None:
    repository = StudyRepository(sqlite_database, "worker")
    assert repository.begin_study(cancelling, 0) is None  # an earlier run
    row = repository.begin_study(cancelling, 1)
    assert row is not None
    assert (row.state, row.stopped) == ("cancelling", "cancel")
    assert not is_wanted(row, 1)
    assert repository.begin_task(cancelling, 1) is None
    hold = repository.begin_task(cancelling, 2)
    assert hold is not None
    assert repository.is_ours(hold)


def test_one_that_has_begun_nothing_ends_at_once(sqlite_database: Database) -> None:
    with sqlite_database.writing() as connection:
        made = study(connection, tenant(connection)).id
        studies.transition(connection, made, expect={"queued"}, to="running")
        studies.transition(connection, made, expect={"running"}, to="cancelling")
    repository = StudyRepository(sqlite_database, "worker")
    assert repository.begin_study(made, 0) is None
    assert repository.settle(made, 45.0)
    assert state(sqlite_database, made) == "cancelled"


def test_what_takes_too_long_is_given_up(
    sqlite_database: Database, cancelling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "WATCH_S", 0.001)
    monkeypatch.setattr(runner_module, "DELIVERY_S", 0.05)
    settings = Settings(data_dir=tmp_path)
    wake_ups = wake_ups_of(settings, sqlite_database, "worker")
    runner = Runner(settings, sqlite_database, BlobStore(tmp_path / "blobs"), "worker", wake_ups)

    async def work() -> Any:
        endless: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.wait_for(runner._watch(cancelling, 2, endless), 60)
        await asyncio.wait({endless})
        return endless.cancelled()

    assert asyncio.run(work())
    assert state(sqlite_database, cancelling) == "cancelled"


def test_a_failure_while_it_delivers_ends_it_cancelled(sqlite_database: Database, cancelling: str) -> None:
    StudyRepository(sqlite_database, "worker").fail(cancelling, StudyFailedError("internal-error", "system", "x"))
    assert state(sqlite_database, cancelling) == "cancelled"
