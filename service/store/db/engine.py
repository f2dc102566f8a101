"""Connections to SQLite or PostgreSQL: one class, two ways to open a transaction.

``reading()`` cannot write; ``writing()`` has the write lock from its first statement (SQLite: ``BEGIN IMMEDIATE``), so
that a transaction that reads and then writes cannot fail half way for a lock. Both commit at the end of the block.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool

from service.store.db.errors import DatabaseBusyError, DatabaseUrlError
from service.store.db.filesystem import network_file_system

BUSY_S = 15.0
READ = "bitbudget_read"
FINE_CLOCK_PYTHON, FINE_CLOCK_SQLITE = (3, 12), (3, 42)
"""From this Python on the queue of tasks needs the milliseconds that SQLite's clock has from this version on."""
_POSTGRESQL_OPTIONS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    # Every list is read in the order of an index. Before a new table's first ANALYZE, which may be minutes away, the
    # planner would rather collect all rows of a large study and sort them.
    "enable_bitmapscan": "off",
}


class Database:
    """One database, for all threads of this process.

    Attributes:
        engine: The SQLAlchemy engine; its own ``begin()`` opens a writing transaction.
        url: Where it is; shows no password.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.url = engine.url

    @property
    def is_sqlite(self) -> bool:
        """Whether this is one file on this machine."""
        return self.engine.dialect.name == "sqlite"

    @property
    def file(self) -> Path | None:
        """The SQLite file."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database; an attempt to write in it fails."""
        with self.engine.connect() as connection:
            reader = connection.execution_options(**{READ: True})
            with reader.begin():
                yield reader

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write; commits at the end, rolls back on any exception.

        Raises:
            DatabaseBusyError: If another process keeps the write lock for ``BUSY_S`` seconds (SQLite).
        """
        with self.engine.begin() as connection:
            yield connection

    def is_up(self) -> bool:
        """Whether the database answers."""
        try:
            with self.reading() as connection:
                return bool(connection.scalar(sa.select(1)) == 1)
        except (DBAPIError, PoolTimeoutError):
            return False

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def connect(url: str, *, pool_size: int = 5) -> Database:
    """Make the connections' pool; nothing is opened yet, except that an empty SQLite file is made in its directory.

    Args:
        url: ``sqlite:///file`` or ``postgresql://...``.
        pool_size: Most connections to PostgreSQL kept; as many again for moments of need, 10 in all at most.

    Raises:
        DatabaseUrlError: If it is neither, the file lies on a network file system, or SQLite is too old.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return Database(_sqlite(parsed))
    return Database(_postgresql(parsed, pool_size))


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUrlError(
            "The database URL cannot be read. Give sqlite:///path or postgresql://user@host/name."
        ) from None
    if parsed.drivername == "sqlite":
        return parsed
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise DatabaseUrlError(
        f"The database {parsed.drivername!r} is not supported. Use sqlite:///path or postgresql://user@host/name."
    )


def _json_text(value: Any) -> str:
    # Escaped: a lone surrogate or NUL inside a JSON text would be refused by one database and taken by the other.
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def sqlite_refusal(python: tuple[int, ...], library: tuple[int, ...]) -> str | None:
    """Why workers could not use SQLite here; None where they can.

    Args:
        python: Version of the interpreter.
        library: Version of its SQLite library.
    """
    if python < FINE_CLOCK_PYTHON or library >= FINE_CLOCK_SQLITE:
        return None
    dotted = [".".join(map(str, one)) for one in (library, python[:2], FINE_CLOCK_SQLITE, FINE_CLOCK_PYTHON)]
    return (
        "SQLite {} of this Python {} has no clock with milliseconds, so no worker could take part: SQLite {} or later "
        "is needed from Python {} on. Use PostgreSQL (BITBUDGET_DATABASE_URL), Python 3.11, or a Python with a newer "
        "SQLite, as python.org's and uv's."
    ).format(*dotted)


def _sqlite(url: URL) -> Engine:
    refusal = sqlite_refusal(sys.version_info[:3], sqlite3.sqlite_version_info)
    if refusal is not None:
        raise DatabaseUrlError(refusal)
    if not url.database or url.database == ":memory:" or url.query:
        raise DatabaseUrlError("SQLite needs a plain file: sqlite:////absolute/path/bitbudget.sqlite.")
    path = Path(url.database)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kind = network_file_system(path.parent)
    if kind is not None:
        raise DatabaseUrlError(
            f"The SQLite file {str(path)!r} lies on a network file system ({kind}), where its locks do not hold. "
            "Put it on a local disk, or use PostgreSQL."
        )
    make_private(path)
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_size=5,
        max_overflow=20,
        connect_args={"check_same_thread": False, "timeout": BUSY_S},
        json_serializer=_json_text,
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def make_private(path: Path) -> None:
    """Make a SQLite file that is not there, for its owner only: it will hold secrets of webhooks.

    The files that SQLite puts beside it get the same rights.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _prepare_sqlite(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.isolation_level = None  # transactions are opened by _begin_sqlite alone
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
    _patiently(connection, "PRAGMA journal_mode = WAL")  # of many that open a new file, SQLite refuses some at once
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(READ):
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql("PRAGMA query_only = OFF")
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    driver: Any = connection.connection.driver_connection
    try:
        _patiently(driver, "BEGIN IMMEDIATE")
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Ask for a lock at short random intervals: the built-in waiting backs off and lets one writer starve."""
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            if time.monotonic() > deadline:
                raise DatabaseBusyError(
                    f"The database was locked for {BUSY_S:g} s. SQLite serves few writers: "
                    "stop some workers, or use PostgreSQL."
                ) from None
        time.sleep(random.uniform(0.0005, 0.006))  # noqa: S311  # no secret


def _postgresql(url: URL, pool_size: int) -> Engine:
    options = " ".join(f"-c {name}={value}" for name, value in _POSTGRESQL_OPTIONS.items())
    given = url.query.get("options")
    arguments: dict[str, Any] = {"connect_timeout": 10, "application_name": "bitbudget"}
    arguments["options"] = f"{options} {given}" if isinstance(given, str) else options
    engine = sa.create_engine(
        url,
        pool_size=pool_size,
        max_overflow=min(pool_size, 10 - pool_size),
        pool_pre_ping=True,
        pool_timeout=15,
        connect_args=arguments,
        json_serializer=_json_text,
    )
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(READ):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def without_pool(database: Database) -> Engine:
    """An engine on the same database that keeps no connection and enforces no foreign keys on SQLite: to migrate."""
    engine = sa.create_engine(database.url, poolclass=NullPool)
    if database.is_sqlite:
        event.listen(engine, "connect", _prepare_migration)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_migration(connection: sqlite3.Connection, record: object) -> None:
    _prepare_sqlite(connection, record)
    connection.execute("PRAGMA foreign_keys = OFF")  # a table is altered by copying it; SQLite would cascade
