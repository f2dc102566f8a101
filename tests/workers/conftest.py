"""Fixtures of everything that needs workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.databases import database_url, new_url
from tests.study.small import Files, conv_net, write
from tests.workers.installation import Installation, installation

__all__ = ["database_url"]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Inputs of a study of about two seconds."""
    return write(tmp_path_factory.mktemp("small"), conv_net(), n=120)


@pytest.fixture(scope="session")
def long(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Inputs of a study that no machine ends before a test can interfere."""
    return write(tmp_path_factory.mktemp("long"), conv_net(), n=40_000)


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[Installation]:
    """An installation without workers, on SQLite and on PostgreSQL."""
    with installation(tmp_path, database_url) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation on SQLite with one worker, for tests that leave it as it was."""
    with new_url("sqlite") as url, installation(tmp_path_factory.mktemp("shared"), url) as found:
        found.start()
        yield found
