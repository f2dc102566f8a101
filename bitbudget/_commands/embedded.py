"""Workers as child processes of the server: started, started again when they die, drained when it stops."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from service.store.db.engine import Database
from service.store.settings import PREFIX, Settings
from workers.recovery import forget_process
from workers.stopping import StopRequest

LOOK_S = 0.2
FIRST_PAUSE_S, LARGEST_PAUSE_S = 1.0, 30.0
"""Between workers that die one after the other; the first one that dies is replaced at once."""
STEADY_S = 10.0
"""A worker that lived so long did not die of how it was started: it counts as the first again."""
_log = logging.getLogger(__name__)


class EmbeddedWorkers:
    """The workers of one server process."""

    def __init__(self, settings: Settings, database: Database, n: int) -> None:
        self._settings = settings
        self._database = database
        self._places = [_Place(_environment(settings)) for _ in range(n)]
        self._stopping = StopRequest()
        self._thread = threading.Thread(target=self._look_after, name="embedded-workers", daemon=True)

    def start(self) -> None:
        """Start all of them."""
        for place in self._places:
            place.start()
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Let all of them finish the items at hand and leave; returns at once, from a signal handler too."""
        self._stopping.set()
        for place in self._places:
            place.send(signal.SIGTERM)

    def stop(self) -> None:
        """Wait until all have left; end those that take longer than they may."""
        self.ask_to_stop()
        self._thread.join()
        deadline = time.monotonic() + self._settings.drain_s + 5.0
        for place in self._places:
            if not place.ended(within_s=max(0.0, deadline - time.monotonic())):
                _log.warning("worker process %s did not leave in time; ended", place.pid)
                place.send(signal.SIGKILL)
                place.ended(within_s=5.0)
            self._forget(place)

    def _look_after(self) -> None:
        while not self._stopping.wait(LOOK_S):
            for place in self._places:
                if place.has_died():
                    _log.warning("worker process %s has died (%s); another is started", place.pid, place.how())
                    self._forget(place)
                if not self._stopping.wait(0.0):
                    place.start_if_due()
        for place in self._places:  # one may have been started while the others were told
            place.send(signal.SIGTERM)

    def _forget(self, place: _Place) -> None:
        """Its work is taken over at once instead of after the silence that means death."""
        if place.pid is None:
            return
        try:
            forget_process(self._database, socket.gethostname(), place.pid)
        except Exception as error:  # noqa: BLE001  # the others notice its silence
            _log.warning("the death of worker process %s could not be noted: %s", place.pid, error)


class _Place:
    """Where one worker after the other runs."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._pause = 0.0
        self._next: float | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the newest one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        self._began, self._next = time.monotonic(), None
        command = [sys.executable, "-m", f"{__package__}.worker", str(os.getpid())]
        # a session of its own: Ctrl-C on a terminal is the server's to pass on
        self._process = subprocess.Popen(  # noqa: S603
            command, env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def has_died(self) -> bool:
        """Whether it ended since this was asked last; plans the next one."""
        if self._process is None or self._next is not None or self._process.poll() is None:
            return False
        now = time.monotonic()
        if now - self._began >= STEADY_S:
            self._pause = 0.0
        self._next = now + self._pause
        self._pause = min(LARGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * self._pause))
        return True

    def start_if_due(self) -> None:
        if self._next is not None and time.monotonic() >= self._next:
            self.start()

    def send(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def ended(self, *, within_s: float) -> bool:
        if self._process is None:
            return True
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def how(self) -> str:
        code = None if self._process is None else self._process.returncode
        return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit status {code}"


def _environment(settings: Settings) -> dict[str, str]:
    """The environment with what options have changed."""
    given = {"DATA_DIR": str(settings.data_dir.absolute()), "DATABASE_URL": settings.database}
    kept = {name: value for name, value in os.environ.items() if name not in _named(given)}
    return {**kept, **{PREFIX + name: value for name, value in given.items()}, PREFIX + "SLOTS": str(settings.slots)}


def _named(given: Mapping[str, str]) -> set[str]:
    return {f"{PREFIX}{name}{suffix}" for name in given for suffix in ("", "_FILE")}
