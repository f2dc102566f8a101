"""Signing in: a page that exchanges an API key for a cookie.

The cookie is HttpOnly and SameSite=Strict, so no script reads it and no other site sends it; the login behind it ends
after some hours, or with its key. The form works without scripts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from service.http.context import PartsDep, Reader
from service.http.gate import COOKIE
from service.usecases.accounts.authentication import log_in, log_out
from service.web.frame import Frame, answer

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, kw_only=True)
class LoginPage:
    """The form: where to go afterwards, and whether a key was just refused."""

    target: str
    is_refused: bool = False


Next = Annotated[str, Query(max_length=2000)]


@router.get("/login")
def login_page(next: Next = "/") -> Response:  # noqa: A002  # its name in the address
    """Show the form."""
    return _page(next)


@router.post("/login")
async def login(
    parts: PartsDep,
    request: Request,
    key: Annotated[str, Form(max_length=200)],
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002
) -> Response:
    """Exchange a key for a cookie and go on to the page that was wanted."""
    hours = parts.settings.session_hours
    token = await run_in_threadpool(log_in, parts.database, key.strip(), hours=hours)
    if token is None:
        return _page(next, is_refused=True)
    gone = RedirectResponse(safe_target(next), status_code=303)
    is_secure = request.url.scheme == "https" or parts.settings.public_url.startswith("https:")
    gone.set_cookie(
        COOKIE, token, max_age=int(hours * 3600), path="/", secure=is_secure, httponly=True, samesite="strict"
    )
    return gone


@router.post("/logout")
def logout(parts: PartsDep, principal: Reader) -> Response:
    """End the login that the cookie stands for."""
    log_out(parts.database, principal)
    gone = RedirectResponse("/login", status_code=303)
    gone.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return gone


def safe_target(text: str) -> str:
    """Return an address of this server: another site must not use the login to send people to itself."""
    parts = urlsplit(text.replace("\\", "/"))
    is_own = not parts.scheme and not parts.netloc and text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if is_own and text.isprintable() and text.isascii() else "/"


def _page(target: str, *, is_refused: bool = False) -> Response:
    page = LoginPage(target=safe_target(target), is_refused=is_refused)
    frame = Frame(title="Sign in", has_navigation=False)
    return answer("login.html.j2", frame, page, status=401 if is_refused else 200)
