"""What every worker looks after at each heartbeat, for all: dead workers, studies that lost their place, ended ones.

Level-triggered: it compares what the rows say with what DBOS knows and mends the difference. So it does not matter
which process died between which two steps, and any number of workers may do it at once.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from service.store.db import studies, tasks, workers
from service.store.db.engine import Database
from service.store.db.schema import TERMINAL
from service.store.db.studies import Study
from service.store.settings import Settings
from workers import durable
from workers.engine import DbosEngine
from workers.failures import StudyFailedError
from workers.study_repository import StudyRepository, run_of

STRANDED_TICKS = 3
"""A study without a place in line for so many ticks gets a new one."""
_log = logging.getLogger(__name__)


def new_executor() -> str:
    """A name for this life of a worker, never used again."""
    return f"{socket.gethostname()[:60]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


@dataclass
class Recovery:
    """The duties of a worker besides computing.

    Attributes:
        settings: Limits and places.
        database: Shared with all processes.
        executor: This worker.
        engine: Puts stranded studies in line again.
    """

    settings: Settings
    database: Database
    executor: str
    engine: DbosEngine
    _stranded: dict[str, int] = field(default_factory=dict)
    _unattended: dict[str, int] = field(default_factory=dict)
    _unwanted: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._repository = StudyRepository(self.database, self.executor)

    def beat(self, state: str = "active") -> None:
        """Say that this worker is alive."""
        with self.database.writing() as connection:
            workers.beat(
                connection,
                executor_id=self.executor,
                host=socket.gethostname(),
                pid=os.getpid(),
                version=durable.VERSION,
                slots=self.settings.slots,
                state=state,
            )

    def leave(self) -> None:
        """Say that this worker is gone, so that others take over at once."""
        with self.database.writing() as connection:
            workers.remove(connection, self.executor)

    def tick(self) -> None:
        """Look after everything once."""
        with self.database.reading() as connection:
            alive = workers.alive(connection, self.settings.dead_s) | {self.executor}
        for dead in durable.recover(alive):
            _log.warning("worker %s is dead; its work is handed on", dead)
        self._hand_on_unattended()
        self._reconcile(durable.live_runs())
        self.dispatch()
        self._forget_scratch(alive)

    def dispatch(self) -> None:
        """Give the workers what is next, if they have room."""
        with self.database.writing() as connection:
            self.engine.dispatch(connection)

    def _hand_on_unattended(self) -> None:
        """Put in line again what this process should run and, for some ticks already, does not."""
        found = durable.unattended(self.executor)
        self._unattended = {name: self._unattended.get(name, 0) + 1 for name in found}
        lost = [name for name, count in self._unattended.items() if count >= STRANDED_TICKS]
        if lost:
            _log.warning("%s had been lost; put in line again", ", ".join(sorted(lost)))
            durable.hand_on(lost, self.executor)

    def _reconcile(self, runs: dict[str, list[str]]) -> None:
        with self.database.reading() as connection:
            going = studies.dispatched_in(connection, ("queued", "running"))
            cancelling = studies.dispatched_in(connection, ("cancelling",))
        self._end_unwanted(runs, going)
        for study_id in set(cancelling) - runs.keys():  # the others end with what they deliver
            self._repository.settle(study_id, self.settings.dead_s)
        stranded = [study_id for study_id in going if study_id not in runs]
        self._stranded = {study_id: self._stranded.get(study_id, 0) + 1 for study_id in stranded}
        for study_id, count in self._stranded.items():
            if count >= STRANDED_TICKS or durable.last_status(study_id) == "CANCELLED":  # its time is up
                self._rescue(study_id)

    def _end_unwanted(self, runs: dict[str, list[str]], going: Collection[str]) -> None:
        """End workflows of studies that do not run, and those that are replaced, unless they end by themselves."""
        unwanted = set()
        for study_id, names in runs.items():
            newest = max(names, key=lambda name: int(name.rpartition(".")[2]))
            unwanted |= {name for name in names if name != newest or not self._is_going(study_id, going)}
        if lasting := unwanted & self._unwanted:
            durable.end(lasting)
        self._unwanted = frozenset(unwanted - lasting)

    def _is_going(self, study_id: str, going: Collection[str]) -> bool:
        if study_id in going:
            return True
        row = self._repository.study(study_id)  # it may have been submitted after ``going`` was read
        return row is not None and row.state not in (*TERMINAL, "paused")

    def _rescue(self, study_id: str) -> None:
        """A study that should run and has no workflow: out of time, failed for good, or never put in line."""
        row = self._repository.study(study_id)
        if row is None or row.state not in ("queued", "running"):
            return
        status = durable.last_status(study_id)
        if row.state == "running" and status == "CANCELLED":
            self._repository.fail(study_id, _timeout(row, self.settings))
        elif status in ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
            text = "The study was interrupted too often, or its workers could not go on with it."
            self._repository.fail(study_id, StudyFailedError("internal-error", "system", text))
        else:
            _log.warning("study %s had lost its place in line", study_id)
            with self.database.writing() as connection:
                studies.update(connection, study_id, expect={row.state}, progress={**(row.progress or {})})
                found = studies.load(connection, study_id)
                if found is not None and found.state == row.state:
                    self.engine.give(connection, found)

    def _forget_scratch(self, alive: Collection[str]) -> None:
        """Delete what the evaluators of dead workers of this machine left on disk."""
        place = self.settings.scratch_dir
        host = socket.gethostname()[:60]
        for folder in place.iterdir() if place.is_dir() else ():
            if folder.name not in alive and folder.name.startswith(f"{host}-") and not _is_running(folder):
                shutil.rmtree(folder, ignore_errors=True)


def forget_process(database: Database, host: str, pid: int) -> None:
    """Say that a worker process has ended: for whoever started it and saw it end. Its work is taken over at once."""
    with database.writing() as connection:
        for worker in workers.listing(connection):
            if worker.host == host and worker.pid == pid:
                workers.remove(connection, worker.executor_id)


def running_tasks(database: Database, study_id: str) -> tuple[int, ...]:
    """Numbers of a study's tasks that are being computed."""
    with database.reading() as connection:
        return tuple(task.no for task in tasks.listing(connection, study_id) if task.state == "running")


def _timeout(row: Study, settings: Settings) -> StudyFailedError:
    limit = row.timeout_s or settings.study_wall_s
    text = f"The study ran longer than {limit:g} s, its time limit (run {run_of(row)})."
    return StudyFailedError("timeout", "limit", text)


def _is_running(folder: Path) -> bool:
    """Whether the process that made a scratch folder still runs, though the database does not know it any more."""
    pid = folder.name.rsplit("-", 2)[1]
    return pid.isdecimal() and Path(f"/proc/{pid}").exists()
