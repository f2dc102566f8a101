"""A database that is away is waited for; anything else is an error at once."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError

from service.store.db.engine import Database
from service.store.db.errors import DatabaseBusyError
from service.store.db.schema import tenants
from tests.service.databases import database
from workers import database_retry

__all__ = ["database"]


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(database_retry.time, "sleep", found.append)
    return found


def failing(errors: list[Exception]) -> Callable[[], str]:
    def work() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    return work


def lost() -> DBAPIError:
    return DBAPIError("SELECT 1", {}, Exception("terminating connection"), connection_invalidated=True)


def test_work_is_done_again_from_its_start_until_the_database_is_back(
    waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    away: list[Exception] = [
        OperationalError("SELECT 1", {}, Exception("refused")),
        InterfaceError("SELECT 1", {}, Exception("closed")),
        lost(),
        DatabaseBusyError("locked"),
    ]
    with caplog.at_level(logging.WARNING):
        assert database_retry.retry(failing(away * 3)) == "done"
    assert waits == [database_retry.PAUSE_S] * 12
    assert [record.message for record in caplog.records] == ["the database is away; waiting for it"]


@pytest.mark.parametrize(
    "error", [IntegrityError("INSERT", {}, Exception("unique")), SQLAlchemyError("x"), ValueError("x")]
)
def test_a_mistake_is_not_repeated(error: Exception, waits: list[float]) -> None:
    with pytest.raises(type(error)):
        database_retry.retry(failing([error]))
    assert waits == []


def test_a_tenth_of_all_writes_fail_and_each_is_there_once(database: Database) -> None:
    """The failure comes after the statement, so that an attempt that was not rolled back would be seen."""
    dice = random.Random(1)
    failed = 0

    def write(name: str) -> None:
        def work(connection: sa.Connection) -> None:
            nonlocal failed
            connection.execute(tenants.insert().values(id=name, name=name))
            if dice.random() < 0.1:
                failed += 1
                raise lost()

        database_retry.write(database, work)

    for n in range(200):
        write(f"tenant {n}")
    assert failed > 10
    assert database_retry.read(database, lambda c: c.scalar(sa.select(sa.func.count()).select_from(tenants))) == 200
