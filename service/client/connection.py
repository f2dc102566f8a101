"""Requests to one server: authenticated, sent again where that is safe, every refusal an exception."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx

from service.client.errors import ClientError, TemporaryError, UnreachableError, error_of
from service.client.retries import Retries, may_repeat

T = TypeVar("T")
Body = Callable[[], AsyncIterator[bytes]]
"""Makes the body anew for every attempt."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class AsyncConnection:
    """What all resources of a client share.

    Attributes:
        http: The connections.
        retries: How long to send a request again that was not answered.
        calls_in_threads: Whether functions of the caller run in a thread, where they may use a blocking client again.
    """

    def __init__(self, http: httpx.AsyncClient, retries: Retries, *, calls_in_threads: bool = False) -> None:
        self.http = http
        self.retries = retries
        self.calls_in_threads = calls_in_threads

    async def call(self, function: Callable[[T], None], argument: T) -> None:
        """Call a function of the caller."""
        if self.calls_in_threads:
            await asyncio.to_thread(function, argument)
        else:
            function(argument)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        repeatable: bool = True,
        retries: Retries | None = None,
    ) -> httpx.Response:
        """Send a request and return the answer, which is a success.

        Args:
            method: HTTP method.
            path: Below the server's address.
            params: Query; None values are left out.
            json: Body as JSON.
            headers: More headers.
            body: Body as bytes, in parts.
            repeatable: Whether having the request twice is the same as having it once.
            retries: How long to go on; the client's if None.

        Raises:
            ApiError: If the server refuses.
            UnreachableError: If no answer comes.
        """
        policy = retries or self.retries
        began, attempt = time.monotonic(), 0
        query = {name: value for name, value in (params or {}).items() if value is not None}
        while True:
            try:
                content = None if body is None else body()
                found = await self._once(method, path, params=query, json=json, headers=headers, content=content)
            except (UnreachableError, TemporaryError) as error:
                was_sent = not isinstance(error.__cause__, _NOT_SENT)
                delay = policy.delay(attempt, error)
                is_late = time.monotonic() - began + delay > policy.outage_s
                if is_late or not may_repeat(error, repeatable=repeatable, was_sent=was_sent):
                    raise
                attempt += 1
                await asyncio.sleep(delay)
            else:
                return found

    async def _once(self, method: str, path: str, **parts: Any) -> httpx.Response:
        try:
            found = await self.http.request(method, path, **parts)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if found.status_code >= 300:
            raise error_of(found.status_code, found.content, retry_after=found.headers.get("retry-after"))
        return found

    @asynccontextmanager
    async def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, read_s: float
    ) -> AsyncIterator[httpx.Response]:
        """Open a GET whose body is read as it comes; what breaks it inside the block is an ``UnreachableError``.

        Args:
            path: Below the server's address.
            headers: More headers.
            read_s: Longest silence.
        """
        timeout = httpx.Timeout(self.http.timeout.connect, read=read_s)
        try:
            async with self.http.stream("GET", path, headers=headers, timeout=timeout) as found:
                if found.status_code >= 300:
                    body = await found.aread()
                    raise error_of(found.status_code, body, retry_after=found.headers.get("retry-after"))
                yield found
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.HTTPError) -> ClientError:
        text = str(error) or type(error).__name__
        return UnreachableError(f"The server at {self.http.base_url} does not answer: {text}")
