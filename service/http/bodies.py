"""Limits on what a request may send, enforced while it comes in.

A body whose announced length is too large is refused before a byte is read; one without a length as soon as it passes
the limit. One that stalls, or trickles below ``SLOWEST`` bytes per second, is cut off.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.answers import problem_response
from service.problems import ServiceError
from service.store.settings import Settings

STALL_S = 30.0
GRACE_S = 60.0
SLOWEST = 1024
LIST_FACTOR = 16
"""A data set's list of files may be so many times longer than any other JSON body."""

_BLOB = re.compile(r"/v1/blobs/[^/]+")
_LISTS = frozenset({"/v1/models", "/v1/datasets"})


class Bodies:
    """Wraps an application."""

    def __init__(self, app: ASGIApp, settings: Settings, *, stall_s: float = STALL_S) -> None:
        self._app = app
        self._settings = settings
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["method"], scope["path"])
        refusal = _refusal(Headers(scope=scope), limit)
        if refusal is not None:
            await problem_response(scope, refusal)(scope, receive, send)
            return
        await self._app(scope, _Watched(receive, limit, self._stall_s, time.monotonic).receive, send)

    def _limit(self, method: str, path: str) -> int:
        settings = self._settings
        if method == "PUT" and _BLOB.fullmatch(path):
            return max(settings.max_model_bytes, settings.max_dataset_bytes)
        return settings.max_json_bytes * (LIST_FACTOR if path in _LISTS else 1)


def _refusal(headers: Headers, limit: int) -> ServiceError | None:
    """Why a body is not even read."""
    if "content-length" in headers and "transfer-encoding" in headers:  # where it ends is a matter of opinion
        return ServiceError("bad-request", "A request has a Content-Length or is chunked, not both.", headers=_CLOSE)
    announced = headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and (len(announced) > 18 or int(announced) > limit):
        return ServiceError("too-large", _detail(limit), headers=_CLOSE)
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):  # unpacking would make limits and digests a matter of opinion
        return ServiceError(
            "unsupported-media-type", "Bodies come as they are, without Content-Encoding.", headers=_CLOSE
        )
    return None


class _Watched:
    """Counts a body on its way in.

    It raises the framework's own exception: others are taken for a body that cannot be parsed.
    """

    def __init__(self, receive: Receive, limit: int, stall_s: float, clock: Callable[[], float]) -> None:
        self._receive = receive
        self._limit = limit
        self._stall_s = stall_s
        self._clock = clock
        self._began = clock()
        self._n_bytes = 0
        self._is_whole = False

    async def receive(self) -> Message:
        if self._is_whole:  # from here on it only says that the caller has gone, which may take hours
            return await self._receive()
        try:
            async with asyncio.timeout(self._stall_s):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"Nothing came for {self._stall_s:g} s.", _CLOSE) from None
        if message["type"] != "http.request":
            return message
        self._n_bytes += len(message.get("body", b""))
        self._is_whole = not message.get("more_body", False)
        if self._n_bytes > self._limit:
            raise HTTPException(413, _detail(self._limit), _CLOSE)
        spent = self._clock() - self._began
        if not self._is_whole and spent > GRACE_S and self._n_bytes < SLOWEST * spent:
            raise HTTPException(408, f"The body comes at less than {SLOWEST} bytes per second.", _CLOSE)
        return message


_CLOSE = {"Connection": "close"}


def _detail(limit: int) -> str:
    return f"The body has more than {limit} bytes, the limit for this address."
