"""A browser for the whole run, tabs and a server for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from service.store.db.engine import Database
from tests.browser.visiting import ARGUMENTS, CHROMIUM, Visitor, visiting
from tests.service.api.serving import Server, serving
from tests.service.databases import sqlite_database

__all__ = ["sqlite_database"]
Visit = Callable[..., Visitor]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    assert Path(CHROMIUM).exists(), "Chromium is missing: apt-get install chromium."
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield found
        found.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens tabs, each checked at the end of the test."""
    with ExitStack() as stack:

        def open_tab(url: str, **options: Any) -> Visitor:
            tab: AbstractContextManager[Visitor] = visiting(browser, url, **options)
            return stack.enter_context(tab)

        yield open_tab


@pytest.fixture
def server(sqlite_database: Database, tmp_path: Path) -> Iterator[Server]:
    """A server on a SQLite file; nothing runs on it."""
    with serving(sqlite_database, tmp_path) as found:
        yield found
