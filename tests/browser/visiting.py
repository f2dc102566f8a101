"""A person at a browser: Debian's Chromium under Playwright, watched for everything that must never happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from service.http.gate import COOKIE
from service.usecases.accounts.authentication import log_in
from tests.service.api.serving import Server

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 60_000


@dataclass
class Visitor:
    """One tab.

    Attributes:
        page: The tab.
        url: Of the server.
        asked: Every address that was requested.
        said: What stood in the console as an error or warning, and errors of scripts.
        expected: Parts of messages that a test provokes on purpose.
    """

    page: Page
    url: str
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def go(self, path: str) -> Page:
        """Open a page of the server and wait until its scripts have run."""
        self.page.goto(self.url + path, wait_until="networkidle" if "/studies/" not in path else "load")
        self.page.wait_for_selector("#theme:not([hidden])")
        return self.page

    def check(self) -> None:
        """Nothing left the server, nothing was refused by the policy, nothing failed."""
        own = urlsplit(self.url)
        away = [one for one in self.asked if urlsplit(one)[:2] != own[:2] and not one.startswith(("data:", "blob:"))]
        said = [one for one in self.said if not any(part in one for part in self.expected)]
        assert away == [], f"Requests left the server: {away}"
        assert said == [], f"The console of {self.page.url} says: {said}"


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visitor]:
    """Open a tab; at the end it is checked and closed."""
    context = browser.new_context(accept_downloads=True, **options)
    context.set_default_timeout(WAIT_MS)
    visitor = Visitor(context.new_page(), url)
    _watch(context, visitor)
    try:
        yield visitor
        visitor.check()
    finally:
        context.close()


def _watch(context: BrowserContext, visitor: Visitor) -> None:
    def asked(request: Request) -> None:
        visitor.asked.append(request.url)

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            visitor.said.append(message.text)

    context.on("request", asked)
    context.on("console", said)
    context.on("weberror", lambda error: visitor.said.append(str(error.error)))


def sign_in(visitor: Visitor, server: Server, *scopes: Any, tenant: str = "default") -> None:
    """Give the tab the cookie of a login, as the login page would."""
    token = log_in(server.database, server.key(*scopes, tenant=tenant), hours=1)
    assert token is not None
    visitor.page.context.add_cookies([{"name": COOKIE, "value": token, "url": server.url}])


def tab_to(page: Page, selector: str, *, most: int = 120) -> None:
    """Press Tab until an element has the focus: what the keyboard alone reaches."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"The keyboard does not reach {selector}.")


def save(visitor: Visitor, act: Callable[[], None], folder: Path) -> Path:
    """Do what starts a download; where it lies then."""
    with visitor.page.expect_download() as found:
        act()
    target = folder / found.value.suggested_filename
    found.value.save_as(target)
    return target
