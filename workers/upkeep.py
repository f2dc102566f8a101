"""What a worker does for all besides computing: what is past its time is forgotten.

In a thread of its own: a long round must not keep a worker from saying that it is alive.
"""

from __future__ import annotations

import logging
import random
import threading

from service.store.blobs.store import BlobStore
from service.store.db.engine import Database
from service.store.retention.upkeep import keep_up
from service.store.settings import Settings
from workers import durable

FIRST_S = 60.0
DAY_S = 86400.0
_log = logging.getLogger(__name__)


class Upkeep:
    """A thread that ends with its process."""

    def __init__(self, settings: Settings, database: Database, store: BlobStore) -> None:
        self._settings = settings
        self._database = database
        self._store = store
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin; the first round comes within a minute, not of all workers at once."""
        threading.Thread(target=self._repeat, name="upkeep", daemon=True).start()

    def stop(self) -> None:
        """Begin no further round."""
        self._stopping.set()

    def _repeat(self) -> None:
        pause = min(FIRST_S, self._settings.upkeep_s) * random.random()  # noqa: S311  # spreads load
        while not self._stopping.wait(pause):
            pause = self._settings.upkeep_s
            try:
                self._forget()
            except Exception as error:  # noqa: BLE001  # the next round tries again
                _log.warning("upkeep: %s: %s", type(error).__name__, error)

    def _forget(self) -> None:
        counts = dict(keep_up(self._database, self._store, self._settings))
        counts["workflows"] = durable.forget_ended(self._settings.intermediate_days * DAY_S)
        if any(counts.values()):
            _log.info("forgotten: %s", ", ".join(f"{n} {name}" for name, n in counts.items() if n))
