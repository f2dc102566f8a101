"""Who may come in: nobody without a valid key or login, except to the addresses of ``PUBLIC``.

Default-deny, and outside the router: a route, a mounted application or a page of documentation that somebody adds later
is closed until its path is written down here.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.contract import Scope as Right
from service.http.answers import problem_response, unavailable
from service.problems import ServiceError
from service.store.db.away import MAY_BE_AWAY, is_away
from service.store.db.engine import Database
from service.store.settings import Settings
from service.usecases.accounts.authentication import by_key, by_session, without_key
from service.usecases.accounts.principal import Principal
from service.usecases.accounts.rates import RateLimit

PUBLIC = frozenset({"/livez", "/readyz", "/login"})
PUBLIC_PREFIX = "/static/"
OPERATOR_PREFIX, WORKERS, METRICS = "/v1/operator/", "/v1/workers", "/metrics"
FORMS = frozenset({"/login"})
"""Public addresses that take a form."""
COOKIE = "bitbudget_session"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Guard:
    """What the gate needs to decide.

    Attributes:
        settings: Where the server listens.
        database: Keys and logins.
        rates: How often a key may ask.
        authenticate: False lets everybody in as administrator; on a loopback address only.
    """

    settings: Settings
    database: Database
    rates: RateLimit
    authenticate: bool


class Gate:
    """Wraps an application."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})  # there are none
            return
        try:
            await self._check(scope)
        except ServiceError as error:
            await _refusal(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        _check_host(self._guard, headers)
        if is_public(scope["path"]):
            if scope["path"] in FORMS and scope["method"] in UNSAFE:
                _check_origin(self._guard.settings, scope, headers)
            return
        principal = await self._principal(scope, headers)
        wait = self._guard.rates.take(principal.key_id or "local")
        if wait:
            raise ServiceError(
                "rate-limited",
                f"The key may ask {self._guard.settings.requests_per_s:g} times per second.",
                headers={"Retry-After": str(int(wait) + 1)},
            )
        principal.require(needed_right(scope["method"], scope["path"]))
        scope.setdefault("state", {})["principal"] = principal

    async def _principal(self, scope: Scope, headers: Headers) -> Principal:
        try:
            found = await self._identify(scope, headers)
        except MAY_BE_AWAY as error:
            if not is_away(error):
                raise
            raise unavailable(error) from None
        if found is None:
            raise ServiceError(
                "unauthenticated",
                "The request carries no valid key.",
                headers={"WWW-Authenticate": 'Bearer realm="bitbudget"'},
            )
        return found

    async def _identify(self, scope: Scope, headers: Headers) -> Principal | None:
        guard = self._guard
        given = headers.get("authorization")
        if given is not None:
            kind, _, token = given.partition(" ")
            if kind.lower() != "bearer":
                return None
            return await run_in_threadpool(by_key, guard.database, token.strip())
        cookie = session_of(headers)
        if cookie is not None:
            found = await run_in_threadpool(by_session, guard.database, cookie)
            if found is not None and scope["method"] in UNSAFE:
                _check_origin(guard.settings, scope, headers)
            return found
        if guard.authenticate:
            return None
        if scope["method"] in UNSAFE and headers.get("origin") is not None:
            _check_origin(guard.settings, scope, headers)
        return await run_in_threadpool(without_key, guard.database)


def needed_right(method: str, path: str) -> Right:
    """The least that an address needs; its route may ask for more."""
    if path == METRICS:
        return "metrics"
    if path.startswith(OPERATOR_PREFIX) or path == WORKERS:
        return "operator"
    return "read" if method in SAFE else "submit"


def is_public(path: str) -> bool:
    """Whether an address is open to everybody."""
    return path in PUBLIC or (path.startswith(PUBLIC_PREFIX) and ".." not in path)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine only."""
    name = host.strip("[]").lower()
    if name in _LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def session_of(headers: Headers) -> str | None:
    """The token of the login that a request carries."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE)


def _check_host(guard: Guard, headers: Headers) -> None:
    """Refuse names that only a rebound DNS entry would use: a page elsewhere must not read a server on loopback."""
    settings = guard.settings
    if not is_loopback(settings.host) and not settings.public_url:
        return
    known = {urlsplit(settings.public_url).hostname or "", settings.host.strip("[]").lower()}
    name = urlsplit(f"//{headers.get('host', '')}")
    try:
        host = (name.hostname or "").lower()
    except ValueError:
        host = ""
    if host not in known and not is_loopback(host):
        raise ServiceError("wrong-host", "The Host header names another server.")


def _check_origin(settings: Settings, scope: Scope, headers: Headers) -> None:
    """Refuse a form or script of another site that rides on somebody's cookie.

    Raises:
        ServiceError: ``cross-origin``.
    """
    origin = headers.get("origin")
    own = {f"{scope.get('scheme', 'http')}://{headers.get('host', '')}"}
    if settings.public_url:
        parts = urlsplit(settings.public_url)
        own.add(f"{parts.scheme}://{parts.netloc}")
    if origin is not None and origin not in own:
        raise ServiceError("cross-origin", "The Origin header names another site.")
    if origin is None and headers.get("sec-fetch-site") != "same-origin":
        raise ServiceError("cross-origin", "The request has no Origin header; browsers send it with every form.")


def _refusal(scope: Scope, error: ServiceError) -> Response:
    """Send a person who looks at a page to the login, and everybody else a problem."""
    headers = Headers(scope=scope)
    is_page = scope["method"] == "GET" and not scope["path"].startswith("/v1/")
    if error.kind.code == "unauthenticated" and is_page and "text/html" in headers.get("accept", ""):
        wanted = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope.get("query_string") else "")
        return RedirectResponse(f"/login?next={quote(wanted, safe='')}", status_code=303)
    return problem_response(scope, error)
