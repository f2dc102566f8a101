"""How often one key may ask, in this process: a bucket of ``burst`` tokens that refills at ``per_s``."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.problems import ServiceError

MAX_KEYS = 10_000


class RateLimit:
    """Token buckets by key; the least recently used are forgotten beyond ``MAX_KEYS``."""

    def __init__(self, *, per_s: float, burst: int, clock: Callable[[], float]) -> None:
        self._per_s, self._burst, self._clock = per_s, burst, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Take one token; return 0, or the seconds until there is one."""
        with self._lock:
            moment = self._clock()
            tokens, last = self._buckets.pop(key, (float(self._burst), moment))
            tokens = min(float(self._burst), tokens + (moment - last) * self._per_s)
            wait = 0.0 if tokens >= 1 else (1 - tokens) / self._per_s
            self._buckets[key] = (tokens - 1 if wait == 0 else tokens, moment)
            if len(self._buckets) > MAX_KEYS:
                self._buckets.popitem(last=False)
            return wait


class StreamLimit:
    """Counts the event streams of each key."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def check(self, key: str) -> None:
        """Refuse a stream before its answer begins.

        Raises:
            ServiceError: ``too-many-streams``.
        """
        with self._lock:
            if self._open.get(key, 0) >= self._most:
                raise ServiceError(
                    "too-many-streams",
                    f"{self._most} event streams of this key are open already.",
                    headers={"Retry-After": "5"},
                )

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Count a stream while the block runs."""
        with self._lock:
            self._open[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[key] -= 1
                if not self._open[key]:
                    del self._open[key]
