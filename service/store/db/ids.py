"""Identifiers that sort by the time they were made: UUID version 7 (RFC 9562), those of one process exactly.

48 bits milliseconds since 1970, 4 bits version, 12 bits fraction of the millisecond, 2 bits variant, 62 random bits.
Time and fraction never stay: an identifier made within the same 1/4096 ms, or after the clock was set back, counts on.
"""

from __future__ import annotations

import secrets
import threading
import time
import uuid
from collections.abc import Callable

TICKS_PER_MS = 4096


class Ticks:
    """Counts 1/4096 ms since 1970, every call further than the last one."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._last = 0
        self._lock = threading.Lock()

    def next(self) -> int:
        """Return the time, or one more than the last time."""
        with self._lock:
            self._last = max(self._last + 1, self._clock_ns() * TICKS_PER_MS // 1_000_000)
            return self._last


_ticks = Ticks(time.time_ns)


def new_id() -> str:
    """Return a new identifier as text of 36 characters."""
    milliseconds, fraction = divmod(_ticks.next(), TICKS_PER_MS)
    number = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62
    return str(uuid.UUID(int=number | secrets.randbits(62)))


def is_id(text: str) -> bool:
    """Whether ``text`` could be one of ours; anything else need not be looked up."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
