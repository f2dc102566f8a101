"""The outermost layer: every request gets an id, every answer the headers that protect it, every failure a body.

Pure ASGI, so that it sees mounted applications and streams like everything else.
"""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.answers import internal_error
from service.http.metrics import UNMATCHED, Metrics
from service.log_lines import REQUEST, tell

_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_LOG = logging.getLogger("bitbudget.api")
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds."""
PROTECTION = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cache-control": "no-store",
}
"""What every answer carries unless it says something else itself."""


class Edge:
    """Wraps an application."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST.set(request_id)
        answer = _Answer(send, request_id)
        began = time.perf_counter()
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            _LOG.exception("Request %s failed", request_id)
            if answer.status is not None:
                raise  # too late for a body: the connection is cut, which no client takes for the end
            await internal_error(scope)(scope, receive, answer.send)
        finally:
            route = str(getattr(scope.get("route"), "path", UNMATCHED))
            status, seconds = answer.status or 499, time.perf_counter() - began
            self._metrics.count(method=scope["method"], route=route, status=status, seconds=seconds)
            _note(scope, route, status, seconds)


class _Answer:
    """Adds headers to an answer on its way out."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            for name, value in PROTECTION.items():
                headers.setdefault(name, value)
        await self._send(message)


def _note(scope: Scope, route: str, status: int, seconds: float) -> None:
    """Write the request's line."""
    principal = scope["state"].get("principal")
    tell(
        _LOG,
        logging.DEBUG if route in PROBES else logging.INFO,
        "request",
        method=scope["method"],
        route=route,
        status=status,
        seconds=round(seconds, 6),
        tenant=getattr(principal, "tenant_id", None),
        actor=getattr(principal, "actor", None),
        study=scope.get("path_params", {}).get("study_id"),
    )


def _request_id(headers: Headers) -> str:
    """The caller's id where it can stand in a log, else a new one."""
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
