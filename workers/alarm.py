"""What a loop waits for between two looks: a while, or the bell."""

from __future__ import annotations

import threading
import time

GAP_S = 0.01
"""Between two looks, however often the bell rings."""
ECHO_S = 0.05
"""After a look that a ring brought about there is another one: of two workers that look into SQLite at the same moment
both choose the same task, and one of them goes away empty-handed although there may be more."""


class Alarm(threading.Event):
    """An event that is the end of a loop; waiting for it also ends with a ring."""

    def __init__(self) -> None:
        super().__init__()
        self._rung = threading.Event()
        self._looked = 0.0
        self._echoes = False

    def ring(self) -> None:
        """End the wait at hand, or the next one."""
        self._rung.set()

    def set(self) -> None:
        """End the loop."""
        super().set()
        self._rung.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a ring, at most ``timeout`` seconds; return whether the loop is to end."""
        self._echoes = self._rung.wait(ECHO_S if self._echoes else timeout)
        time.sleep(max(0.0, self._looked + GAP_S - time.monotonic()))
        self._rung.clear()
        self._looked = time.monotonic()
        return self.is_set()
