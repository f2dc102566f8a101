"""An event for polling loops: the wait between two polls ends early with a wake-up."""

from __future__ import annotations

import threading
import time

GAP_S = 0.01
"""Between two polls, however many wake-ups arrive."""
REPEAT_S = 0.05
"""After a poll that a wake-up brought about there is another one: of two workers that poll SQLite at the same moment
both choose the same task, and one of them goes away empty-handed although there may be more."""


class WakeableEvent(threading.Event):
    """An event that is the end of a loop; waiting for it also ends with a wake-up."""

    def __init__(self) -> None:
        super().__init__()
        self._woken = threading.Event()
        self._polled = 0.0
        self._repeats = False

    def wake(self) -> None:
        """End the wait at hand, or the next one."""
        self._woken.set()

    def set(self) -> None:
        """End the loop."""
        super().set()
        self._woken.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a wake-up, at most ``timeout`` seconds; return whether the loop is to end."""
        self._repeats = self._woken.wait(REPEAT_S if self._repeats else timeout)
        time.sleep(max(0.0, self._polled + GAP_S - time.monotonic()))
        self._woken.clear()
        self._polled = time.monotonic()
        return self.is_set()
