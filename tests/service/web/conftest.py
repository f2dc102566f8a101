"""Servers for the tests of the pages."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.db.engine import Database
from tests.service.api.serving import Server, serving


@pytest.fixture
def server(sqlite_database: Database, tmp_path: Path) -> Iterator[Server]:
    """A server on a SQLite file."""
    with serving(sqlite_database, tmp_path) as found:
        yield found
