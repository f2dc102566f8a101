"""Signing in: a page that exchanges an API key for a cookie.

The cookie is HttpOnly and SameSite=Strict, so no script reads it and no other site sends it; the login behind it ends
after some hours, or with its key. The form works without scripts.
"""

from __future__ import annotations

import html
from string import Template
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service.accounts.authentication import log_in, log_out
from service.http.context import PartsDep, Reader
from service.http.gate import COOKIE

router = APIRouter(include_in_schema=False)
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}
_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in · bitbudget</title>
</head>
<body>
<main>
<h1>Sign in to bitbudget</h1>
$message
<form method="post" action="/login">
<input type="hidden" name="next" value="$next">
<p><label for="key">API key</label><br>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus size="64"></p>
<p><button type="submit">Sign in</button></p>
</form>
</main>
</body>
</html>
"""
)
_REFUSED = '<p role="alert">This key is not valid. It may have expired or been revoked.</p>'
Next = Annotated[str, Query(max_length=2000)]


@router.get("/login")
def login_page(next: Next = "/") -> HTMLResponse:  # noqa: A002  # its name in the address
    """Show the form."""
    return HTMLResponse(_page(next), headers=HEADERS)


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
        return HTMLResponse(_page(next, _REFUSED), status_code=401, headers=HEADERS)
    answer = RedirectResponse(safe_target(next), status_code=303)
    is_secure = request.url.scheme == "https" or parts.settings.public_url.startswith("https:")
    answer.set_cookie(
        COOKIE, token, max_age=int(hours * 3600), path="/", secure=is_secure, httponly=True, samesite="strict"
    )
    return answer


@router.post("/logout")
def logout(parts: PartsDep, principal: Reader) -> Response:
    """End the login that the cookie stands for."""
    log_out(parts.database, principal)
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def safe_target(text: str) -> str:
    """Return an address of this server: another site must not use the login to send people to itself."""
    parts = urlsplit(text.replace("\\", "/"))
    is_own = not parts.scheme and not parts.netloc and text.startswith("/") and not text.startswith(("//", "/\\"))
    return text if is_own and text.isprintable() and text.isascii() else "/"


def _page(target: str, message: str = "") -> str:
    return _PAGE.substitute(message=message, next=html.escape(safe_target(target), quote=True))
