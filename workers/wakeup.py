"""Wake-ups between processes: who changed rows tells those that poll for them to poll now.

A wake-up carries a name and nothing else; what has happened is in the rows. One that gets lost costs time only, because
everybody who waits also polls without one, every second or so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import Connection

from service.store.db.engine import Database
from service.store.settings import Settings
from workers.wakeup_local import LocalTransport, tell
from workers.wakeup_postgresql import PostgresqlTransport, notify

CLOSE_S = 5.0
NOBODY = "-"
"""Name of a process that listens to nothing."""
_log = logging.getLogger(__name__)


class Transport(Protocol):
    """Carries wake-ups between processes."""

    def tell(self, name: str) -> None:
        """Tell all other processes; may block for a moment, and may fail with any exception."""
        ...

    def listen(self, heard: Callable[[str], None]) -> None:
        """Report what others tell, until ``close``; runs in a thread of its own, and may fail with any exception."""
        ...

    def close(self) -> None:
        """End ``listen``."""
        ...


class WakeUps:
    """The wake-ups one process sends and receives; for all of its threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Callable[[], None]]] = {}
        self._outbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._teller = threading.Thread(target=self._tell, name="wakeup-sender", daemon=True)

    def start(self) -> None:
        """Take part: tell others, and hear them."""
        self._teller.start()
        threading.Thread(target=self._hear, name="wakeup-listener", daemon=True).start()

    def close(self) -> None:
        """Take no part any more; what was sent before is told."""
        self._outbox.put(None)
        if self._teller.is_alive():
            self._teller.join(CLOSE_S)
        self._transport.close()

    def send(self, name: str) -> None:
        """Wake whoever waits for ``name``, here and elsewhere; returns at once and never fails."""
        self.send_here(name)
        self._outbox.put(name)

    def send_here(self, name: str) -> None:
        """Wake whoever waits for ``name`` in this process."""
        with self._lock:
            listeners = tuple(self._listeners.get(name, ()))
        for wake in listeners:
            wake()

    @contextmanager
    def subscribed(self, name: str, wake: Callable[[], None]) -> Iterator[None]:
        """Call ``wake`` for every wake-up of ``name``, from any thread; it must not block."""
        with self._lock:
            self._listeners.setdefault(name, []).append(wake)
        try:
            yield
        finally:
            with self._lock:
                self._listeners[name].remove(wake)
                if not self._listeners[name]:
                    del self._listeners[name]

    @contextmanager
    def awaited(self, name: str) -> Iterator[asyncio.Event]:
        """An event of the running loop that every wake-up of ``name`` sets."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        with self.subscribed(name, lambda: _in(loop, event.set)):
            yield event

    def _tell(self) -> None:
        """Pass wake-ups on; equal ones that have gathered meanwhile are one."""
        gathered: dict[str | None, None] = {}
        while None not in gathered:
            gathered = {self._outbox.get(): None}
            while not self._outbox.empty():
                gathered[self._outbox.get()] = None
            for name in gathered:
                if name is not None:
                    self._pass_on(name)

    def _pass_on(self, name: str) -> None:
        try:
            self._transport.tell(name)
        except Exception as error:  # noqa: BLE001  # whoever should have heard it looks soon anyway
            _log.debug("a wake-up was not sent: %s", error)

    def _hear(self) -> None:
        try:
            self._transport.listen(self.send_here)
        except Exception as error:  # noqa: BLE001  # this worker is slower to begin, and right all the same
            _log.warning("this worker receives no wake-ups of others: %s: %s", type(error).__name__, error)


def _in(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call)


def wake_from(connection: Connection, settings: Settings, name: str) -> None:
    """Send a wake-up from inside a transaction, for a process without ``WakeUps``; never fails for want of a receiver.

    PostgreSQL tells once the transaction commits, pipes at once: whoever polls before the commit polls again soon
    (``wakeable.REPEAT_S``).
    """
    if connection.dialect.name == "postgresql":
        notify(connection, name, own=NOBODY)
        return
    with contextlib.suppress(OSError):
        tell(_pipes_dir(settings), name)


def _pipes_dir(settings: Settings) -> Path:
    return settings.data_dir.absolute() / "wakeups"


def wake_ups_of(settings: Settings, database: Database, executor: str) -> WakeUps:
    """The wake-ups of an installation: named pipes beside a SQLite file, a channel of PostgreSQL."""
    if database.is_sqlite:
        return WakeUps(LocalTransport(_pipes_dir(settings), executor))
    return WakeUps(PostgresqlTransport(database, executor))
