"""Servers for the tests of the HTTP interface."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.db.engine import Database
from tests.service.api.serving import Server, serving


@pytest.fixture
def server(sqlite_database: Database, tmp_path: Path) -> Iterator[Server]:
    """A server on a SQLite file."""
    with serving(sqlite_database, tmp_path) as found:
        yield found


@pytest.fixture
def both(database: Database, tmp_path: Path) -> Iterator[Server]:
    """A server; the test runs once on SQLite and once on PostgreSQL."""
    with serving(database, tmp_path) as found:
        yield found
