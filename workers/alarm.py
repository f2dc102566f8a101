"""What a loop waits for between two looks: a while, or the bell."""

from __future__ import annotations

import threading
import time

GAP_S = 0.02
"""Between two looks, however often the bell rings."""


class Alarm(threading.Event):
    """An event that is the end of a loop; waiting for it also ends with a ring."""

    def __init__(self) -> None:
        super().__init__()
        self._rung = threading.Event()
        self._looked = 0.0

    def ring(self) -> None:
        """End the wait at hand, or the next one."""
        self._rung.set()

    def set(self) -> None:
        """End the loop."""
        super().set()
        self._rung.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a ring, at most ``timeout`` seconds; return whether the loop is to end."""
        self._rung.wait(timeout)
        time.sleep(max(0.0, self._looked + GAP_S - time.monotonic()))
        self._rung.clear()
        self._looked = time.monotonic()
        return self.is_set()
