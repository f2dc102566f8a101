"""A worker process: takes studies and tasks from the queue until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable

from service.store.blobs.store import BlobStore
from service.store.db.engine import connect
from service.store.db.migrate import prepare
from service.store.settings import Settings
from workers import durable
from workers.database_retry import retry
from workers.engine import DbosEngine
from workers.evaluator.guard import hide
from workers.recovery import Recovery, new_executor
from workers.runner import Runner
from workers.stopping import StopRequest
from workers.upkeep import Upkeep
from workers.wakeup import wake_ups_of

_log = logging.getLogger(__name__)


def run_worker(settings: Settings, *, until: Callable[[], bool] = lambda: False) -> None:
    """Work until SIGTERM or SIGINT, then finish the items at hand and leave; the process ends here.

    Args:
        settings: Database, places, limits.
        until: Also ends it; looked at with every heartbeat.
    """
    hide()
    worker = Worker(settings)
    worker.start()
    with worker.stopping.by_signals(signal.SIGINT, signal.SIGTERM):
        while not worker.stopping.wait(settings.heartbeat_s):
            worker.tick()
            if until():
                worker.stopping.set()
    worker.drain()
    # Threads that wait for work must not keep a process that has left. Nothing is open that needs to be closed.
    logging.shutdown()
    os._exit(0)


class Worker:
    """One life of a worker."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stopping = StopRequest()
        self._database = connect(settings.database, pool_size=settings.database_pool)
        self._executor = new_executor()
        self._store = BlobStore(settings.blobs_dir)
        self._wake_ups = wake_ups_of(settings, self._database, self._executor)
        self._upkeep = Upkeep(settings, self._database, self._store)
        self._recovery = Recovery(settings, self._database, self._executor, DbosEngine(settings))
        self._runner = Runner(
            settings, self._database, self._store, self._executor, self._wake_ups, self._recovery.dispatch
        )

    def start(self) -> None:
        """Take part from now on.

        Raises:
            WrongSchemaError: If the database is not this program's.
        """
        prepare(self._database)
        retry(self._recovery.beat)
        self._wake_ups.start()
        durable.launch(self.settings, self._executor, self._runner, self._wake_ups)
        _log.info("worker %s takes part with %d slots", self._executor, self.settings.slots)
        self.tick()
        self._upkeep.start()

    def tick(self) -> None:
        """Heartbeat and the duties that come with it; a database that is away is tried again next time."""
        try:
            self._recovery.beat()
            self._recovery.tick()
            self._runner.tidy()
        except Exception as error:  # noqa: BLE001  # the next heartbeat tries again
            _log.warning("heartbeat: %s: %s", type(error).__name__, str(error).splitlines()[0] if str(error) else "")

    def drain(self) -> None:
        """Begin nothing, finish the items at hand, hand the rest over."""
        _log.info("worker %s leaves; %d tasks are running", self._executor, len(self._runner.running))
        self._runner.stop_beginning()
        self._upkeep.stop()
        deadline = time.monotonic() + self.settings.drain_s
        next_beat = 0.0
        while self._runner.running and time.monotonic() < deadline:
            if time.monotonic() >= next_beat:
                with contextlib.suppress(Exception):
                    self._recovery.beat("draining")
                next_beat = time.monotonic() + self.settings.heartbeat_s
            time.sleep(0.05)
        self._runner.close()
        with contextlib.suppress(Exception):
            self._recovery.leave()
        self._wake_ups.close()
