"""Connections: what a transaction may do, what two of them do to each other, which URLs are taken."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError

from service.store.db import engine, tenants, workers
from service.store.db.columns import now, seconds_since
from service.store.db.engine import Database, connect
from service.store.db.errors import DatabaseBusyError, DatabaseUrlError
from service.store.db.filesystem import network_file_system
from service.store.db.migrate import back_up, prepare
from service.store.db.schema import blob_refs, studies
from service.store.db.schema import tenants as tenant_table
from tests.service.store.db.rows import OTHER, digest, study, tenant


def test_a_block_commits_at_its_end_and_rolls_back_on_an_error(database: Database) -> None:
    with database.writing() as connection:
        tenant(connection, "kept")
    with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117
        with database.writing() as connection:
            tenant(connection, "lost")
            raise ZeroDivisionError
    with database.reading() as connection:
        assert [one.name for one in tenants.listing(connection)] == ["kept"]


def test_a_reader_cannot_write_and_the_next_writer_can(database: Database) -> None:
    for _ in range(2):
        with database.reading() as connection, pytest.raises(DBAPIError, match=r"readonly|read-only"):
            connection.execute(tenant_table.insert().values(id="x", name="x"))
        with database.writing() as connection:
            tenant(connection)


def test_a_reader_sees_one_state(database: Database) -> None:
    with database.reading() as reader:
        assert tenants.listing(reader) == ()
        with database.writing() as connection:
            tenant(connection)
        assert tenants.listing(reader) == ()


def test_references_are_enforced(database: Database) -> None:
    with database.engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(blob_refs.insert().values(digest=digest("x"), holder="input", holder_id=OTHER))


def test_two_transactions_that_read_then_write_do_not_lose_an_update(database: Database) -> None:
    with database.writing() as connection:
        mine = study(connection, tenant(connection))

    def add_ten() -> None:
        for _ in range(10):
            with database.writing() as connection:
                query = sa.select(studies.c.priority).where(studies.c.id == mine.id).with_for_update()
                found = connection.scalar(query)
                connection.execute(studies.update().values(priority=found + 1))

    threads = [threading.Thread(target=add_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as connection:
        assert connection.scalar(sa.select(studies.c.priority)) == 40


def test_the_clock_is_that_of_the_database_and_moves_on_in_a_transaction(database: Database) -> None:
    with database.reading() as connection:
        first = connection.scalar(sa.select(now()))
        time.sleep(0.01)
        second = connection.scalar(sa.select(now()))
        before, after = connection.execute(sa.select(now(10.0), now(-10.5))).one()
        age = connection.scalar(sa.select(seconds_since(now(100.0))))
    assert first < second
    assert abs(first.timestamp() - time.time()) < 5.0
    assert (second - before).total_seconds() == pytest.approx(10.0, abs=0.1)
    assert (after - second).total_seconds() == pytest.approx(10.5, abs=0.1)
    assert age == pytest.approx(100.0, abs=0.1)


def test_a_json_value_with_nan_is_refused(sqlite_database: Database) -> None:
    with sqlite_database.writing() as connection:
        mine = tenant(connection)
        with pytest.raises(StatementError, match="not JSON compliant"):
            study(connection, mine, spec={"x": float("nan")})


def test_sqlite_is_set_up_for_many_processes(sqlite_database: Database) -> None:
    with sqlite_database.reading() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15000}


def test_a_new_sqlite_file_that_another_process_sets_up_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "new.sqlite"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # SQLite refuses to change the journal's mode now, without any waiting of its own
    release = threading.Timer(0.3, other.execute, ("COMMIT",))
    release.start()
    opened = connect(f"sqlite:///{file}")
    try:
        with opened.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    finally:
        opened.close()
        release.join()
        other.close()


def test_a_locked_sqlite_file_is_waited_for_then_said(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sqlite_database.file is not None
    other = sqlite3.connect(sqlite_database.file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(engine, "BUSY_S", 0.1)
    try:
        with pytest.raises(DatabaseBusyError, match="stop some workers, or use PostgreSQL"), sqlite_database.writing():
            pass
        with sqlite_database.reading() as connection:
            assert tenants.listing(connection) == ()
        monkeypatch.setattr(engine, "BUSY_S", 15.0)
        threading.Timer(0.2, other.rollback).start()
        with sqlite_database.writing() as connection:
            tenant(connection)
    finally:
        other.close()


BEATS = """
import sys
from service.store.db import workers
from service.store.db.engine import connect
database = connect(sys.argv[1])
for _ in range(25):
    with database.writing() as connection:
        workers.beat(connection, executor_id=sys.argv[2], host="h", pid=1, version="1", slots=1)
"""


def test_several_processes_write_at_once(database_url: str) -> None:
    command = [sys.executable, "-c", BEATS, database_url]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    processes = [subprocess.Popen([*command, f"w{n}"], env=environment) for n in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    database = connect(database_url)
    with database.reading() as connection:
        assert workers.alive(connection, 60.0) == {"w0", "w1", "w2"}
    database.close()


def test_a_database_says_whether_it_is_up(database: Database) -> None:
    assert database.is_up()
    assert not connect("postgresql://nobody@127.0.0.1:1/none").is_up()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u:secret@h/db", "The database 'mysql' is not supported"),
        ("postgresql+asyncpg://u:secret@h/db", "is not supported"),
        ("nonsense", "cannot be read"),
        ("sqlite://", "SQLite needs a plain file"),
        ("sqlite:///:memory:", "SQLite needs a plain file"),
        ("sqlite:///x.sqlite?mode=ro", "SQLite needs a plain file"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(DatabaseUrlError, match=message) as caught:
        connect(url)
    assert "secret" not in str(caught.value)


def test_the_directory_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    database = connect(f"sqlite:///{tmp_path}/a/b/c.sqlite")
    assert database.is_up()
    assert database.file == tmp_path / "a/b/c.sqlite"
    database.close()


def test_sqlite_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "network_file_system", lambda path: "nfs4")
    with pytest.raises(DatabaseUrlError, match=r"network file system \(nfs4\), where its locks do not hold"):
        connect(f"sqlite:///{tmp_path}/x.sqlite")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("/dev/vda / ext4 rw 0 0\nserver:/x {} nfs4 rw 0 0", "nfs4"),
        ("server:/x / nfs4 rw 0 0\n/dev/vda {} ext4 rw 0 0", None),
        ("/dev/vda / ext4 rw 0 0\nserver:/x {}/below nfs4 rw 0 0", None),
        ("user@host: {} fuse.sshfs rw 0 0", "fuse.sshfs"),
        ("tmpfs {} tmpfs rw 0 0", None),
    ],
)
def test_the_deepest_mount_decides(tmp_path: Path, lines: str, expected: str | None) -> None:
    place = tmp_path / "with space"
    place.mkdir()
    mounts = tmp_path / "mounts"
    mounts.write_text(lines.format(str(place).replace(" ", "\\040")))
    assert network_file_system(place, mounts) == expected
    assert network_file_system(place, tmp_path / "missing") is None


def test_a_new_file_and_its_copies_are_for_their_owner_only(tmp_path: Path) -> None:
    database = connect(f"sqlite:///{tmp_path}/data/bitbudget.sqlite")
    prepare(database)
    back_up(database, tmp_path / "data/copy.sqlite")
    with database.writing():
        files = sorted((tmp_path / "data").iterdir())
        assert len(files) == 4
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    database.close()


@pytest.mark.parametrize(
    ("python", "library", "works"),
    [
        ((3, 11, 9), (3, 40, 1), True),
        ((3, 12, 0), (3, 42, 0), True),
        ((3, 14, 0), (3, 46, 1), True),
        ((3, 12, 0), (3, 40, 1), False),
        ((3, 13, 5), (3, 41, 9), False),
    ],
)
def test_a_sqlite_that_is_too_old_for_its_python_is_refused_at_the_start(
    python: tuple[int, ...], library: tuple[int, ...], works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.db.engine.sys.version_info", python)
    monkeypatch.setattr("service.store.db.engine.sqlite3.sqlite_version_info", library)
    url = f"sqlite:///{tmp_path}/x.sqlite"
    if works:
        connect(url).close()
    else:
        with pytest.raises(DatabaseUrlError, match=r"SQLite 3\.4\d\.\d of this Python 3\.1\d .*Use PostgreSQL"):
            connect(url)
