"""The blocking client: the asyncio one on an event loop in a thread of its own. Nothing is written twice.

The loop is started by the first request. A forked process has none of its parent's threads and starts its own.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from service.client.client import AsyncClient

P = ParamSpec("P")
T = TypeVar("T")
PartT_co = TypeVar("PartT_co", covariant=True)
MethodPartT = TypeVar("MethodPartT")
LOOK_S = 0.5
"""A wait without an end could not be interrupted on Windows."""


class Portal:
    """One asyncio client, and the thread in which it runs.

    Attributes:
        client: The asyncio client.
    """

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bitbudget-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work there and return what it returns; who is interrupted meanwhile ends it.

        Raises:
            RuntimeError: If it is asked from inside of the work.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("The blocking client cannot be used inside of itself: use AsyncClient.")
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while not wait((future,), timeout=LOOK_S).done:
                pass
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Close the client's connections and end the thread; doing it twice does no harm."""
        if self._loop.is_closed() or threading.current_thread() is self._thread:
            return
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        await self.client.close()
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()


class PortalOfProcess:
    """The portal of this process, opened when it is first needed."""

    def __init__(self, make: Callable[[], AsyncClient]) -> None:
        self._make = make
        self._client: AsyncClient | None = make()  # what it cannot be made of is said now
        self._portal: Portal | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()

    def open(self) -> Portal:
        """Return it."""
        if self._process != os.getpid():
            self._client, self._portal, self._lock, self._process = None, None, threading.Lock(), os.getpid()
        with self._lock:
            if self._portal is None:
                self._portal = Portal(self._client or self._make())
                weakref.finalize(self, _close, self._portal, os.getpid())
            return self._portal

    def close(self) -> None:
        """Close it, if it was opened by this process."""
        if self._portal is not None:
            _close(self._portal, self._process)


def _close(portal: Portal, process: int) -> None:
    if os.getpid() == process:
        portal.close()


class Resource(Generic[PartT_co]):
    """A part of the blocking client; each of its methods is one of the asyncio client's."""

    def __init__(self, portals: PortalOfProcess, part: Callable[[AsyncClient], PartT_co]) -> None:
        self._portals = portals
        self._part = part


def blocking(
    method: Callable[Concatenate[MethodPartT, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Resource[MethodPartT], P], T]:
    """Return the blocking form of a method of the asyncio client: the same arguments, result and errors."""

    @functools.wraps(method)
    def call(self: Resource[MethodPartT], /, *args: P.args, **kwargs: P.kwargs) -> T:
        portal = self._portals.open()
        return portal.run(method(self._part(portal.client), *args, **kwargs))

    return cast("Callable[Concatenate[Resource[MethodPartT], P], T]", call)
