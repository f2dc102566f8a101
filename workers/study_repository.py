"""The repository of studies: everything a worker writes about one, each in one transaction.

Two workers may believe that a study or a task is theirs (one was stopped and taken over meanwhile): a task's attempt
number decides, and the first result of an item stays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy.engine import Connection

from search.records.document import to_json
from search.tasks import ItemResult
from search.work.kinds.registry import NOT_SEARCH
from service.store.db import artifacts, events, items, studies, tasks, trials, turns, workers
from service.store.db.engine import Database
from service.store.db.studies import Study
from service.store.db.tasks import TaskRow
from workers.database_retry import T, read, write
from workers.derived import phase_of
from workers.failures import StudyFailedError
from workers.rounds import Round, item_digests

LIVE = frozenset({"queued", "running"})
DELIVERS = "delivers"
"""Key of ``progress``: the tasks that a study needs while it is being cancelled."""
_log = logging.getLogger(__name__)


class LostError(Exception):
    """The task or the study is not ours any more: it was cancelled, paused, failed or taken over."""


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A task this worker has begun.

    Attributes:
        study: Its study.
        task: Its row.
        attempt: Ours, as long as the row says so.
        known: Items that had a result when this was read.
    """

    study: Study
    task: TaskRow
    attempt: int
    known: frozenset[str] = frozenset()

    @property
    def digests(self) -> Sequence[str]:
        """Identities of its items, in order."""
        return item_digests(self.task.payload or {})


@dataclass(frozen=True, kw_only=True)
class File:
    """A delivered file whose blob is kept."""

    name: str
    digest: str
    size: int
    media_type: str


class StudyRepository:
    """What one worker reads and writes of studies, tasks and results."""

    def __init__(self, database: Database, executor: str) -> None:
        self._database = database
        self._executor = executor

    def study(self, study_id: str) -> Study | None:
        """The row of a study."""
        return read(self._database, lambda c: studies.load(c, study_id))

    def read(self, work: Callable[[Connection], T]) -> T:
        """Read something else."""
        return read(self._database, work)

    def begin_study(self, study_id: str, run: int) -> Study | None:
        """Return the study if run ``run`` of it is to go on: it runs then, or delivers while it is cancelled."""

        def work(connection: Connection) -> Study | None:
            row = studies.load(connection, study_id, lock=True)
            if row is not None and row.state == "cancelling" and run == run_of(row):
                return _delivering(connection, row)
            if row is None or row.state not in LIVE or run < run_of(row):
                return None
            if run > run_of(row):
                studies.update(connection, study_id, progress={**(row.progress or {}), "run": run})
            if row.state == "queued":
                return studies.transition(connection, study_id, expect={"queued"}, to="running")
            return row

        return write(self._database, work)

    def hand_back(self, row: Study) -> None:
        """Let a study that runs wait for its tenant's turn again; its results stay."""
        write(self._database, lambda c: studies.transition(c, row.id, expect={"running"}, to="queued"))

    def pin(self, row: Study, environment: Mapping[str, str]) -> Study:
        """Tie a study to the environment its results depend on; one that it has left does not come back.

        Raises:
            StudyFailedError: If it would.
        """
        stored = dict(row.problem or {})
        seen: list[Mapping[str, str]] = list(stored.get("environments", []))
        if seen and seen[-1] == environment:
            return row
        if environment in seen:
            raise StudyFailedError("environment-changed", "system", "Workers of different kinds share the study.")
        stored["environments"] = [*seen, dict(environment)]
        write(self._database, lambda c: studies.update(c, row.id, expect=LIVE, problem=stored))
        return replace(row, problem=stored)

    def store_round(self, row: Study, found: Round) -> tuple[TaskRow, ...]:
        """Store tasks and what is derived from the results; return the tasks, none if the study has moved on."""
        plan = found.plans[0]

        def work(connection: Connection) -> tuple[TaskRow, ...]:
            current = studies.load(connection, row.id, lock=True)
            if current is None or current.state != row.state:
                return ()
            rows = tasks.put(connection, study_id=row.id, tenant_id=row.tenant_id, plans=found.plans)
            trials.put(connection, study_id=row.id, tenant_id=row.tenant_id, rows=found.rows)
            progress = {
                "run": run_of(current),
                "task": plan.label,
                "completed": 0,
                "total": sum(one.n_items for one in found.plans),
                "unit": "items",
                "trials": trials.count(connection, row.id),
                **found.facts,
                **({} if row.state == "running" else {DELIVERS: [one.no for one in rows]}),
            }
            phase = phase_of(plan.kind)
            changes = {"phase": phase, "progress": progress, "seconds": found.seconds, "stopped": found.stopped}
            studies.update(connection, row.id, expect=None, **changes)
            if current.phase != phase:
                _event(connection, row, "phase", {"phase": phase})
            for trial in found.news:
                _event(connection, row, "trial", to_json(trial.record))
            return rows

        return write(self._database, work)

    def begin_task(self, study_id: str, no: int) -> Hold | None:
        """Take a task; None if its study does not want it any more."""

        def work(connection: Connection) -> Hold | None:
            row = studies.load(connection, study_id, lock=True)
            if row is None or not is_wanted(row, no):
                return None
            attempt = tasks.start(connection, study_id, no, self._executor)
            task = tasks.get(connection, study_id, no)
            if attempt is None or task is None:
                return None
            hold = Hold(study=row, task=task, attempt=attempt)
            return replace(hold, known=items.known(connection, study_id, hold.digests))

        return write(self._database, work)

    def again(self, hold: Hold) -> Hold:
        """The same task after an attempt that failed on the way."""
        return replace(hold, known=self.read(lambda c: items.known(c, hold.study.id, hold.digests)))

    def items_of(self, study_id: str, nos: Sequence[int]) -> Sequence[frozenset[str]]:
        """Identities of the items of each of these tasks."""
        found = self.read(lambda c: [tasks.get(c, study_id, no) for no in nos])
        payloads = [task.payload for task in found if task is not None and task.payload is not None]
        return [frozenset(item_digests(payload)) for payload in payloads]

    def left_of(self, study_id: str, nos: Sequence[int], digests: frozenset[str]) -> frozenset[str]:
        """Which of the items ``digests`` have no result yet; none if the study wants no task of ``nos`` any more."""

        def work(connection: Connection) -> frozenset[str]:
            row = studies.load(connection, study_id)
            if row is None or not any(is_wanted(row, no) for no in nos):
                return frozenset()
            return digests - items.known(connection, study_id, digests)

        return self.read(work)

    def is_ours(self, hold: Hold) -> bool:
        """Whether to go on with the task."""

        def work(connection: Connection) -> bool:
            row = studies.load(connection, hold.study.id)
            return row is not None and _is_ours(connection, row, hold, self._executor)

        return self.read(work)

    def put_item(self, hold: Hold, result: ItemResult, *, is_last: bool) -> float:
        """Store a result whose blobs are kept; return the search seconds of the study so far.

        Args:
            hold: The task.
            result: Of one of its items.
            is_last: The others have theirs: the task has succeeded.

        Raises:
            LostError: If the task is not ours any more; nothing was stored.
        """

        def work(connection: Connection) -> tuple[bool, float]:
            row = studies.load(connection, hold.study.id, lock=True)
            if row is None or not _is_ours(connection, row, hold, self._executor):
                raise LostError
            stored = items.put(connection, study_id=row.id, tenant_id=row.tenant_id, result=result)
            turns.spend(connection, row.tenant_id, result.seconds)
            seconds = items.seconds(connection, row.id, without=NOT_SEARCH)
            before = dict(row.progress or {})
            progress = {**before, "completed": int(before.get("completed", 0)) + 1}
            studies.update(connection, row.id, progress=progress, seconds=seconds)
            data = {name: value for name, value in progress.items() if name not in ("run", DELIVERS)}
            _event(connection, row, "progress", {"phase": row.phase, **data})
            if is_last:
                tasks.finish(connection, row.id, hold.task.no, "succeeded", attempt=hold.attempt)
            return stored, seconds

        stored, seconds = write(self._database, work)
        _log.debug("item %s %s of study %s", result.digest, "stored" if stored else "known", hold.study.id)
        return seconds

    def end_task(self, hold: Hold, state: str, error: Mapping[str, Any] | None = None) -> None:
        """Say how our attempt ended."""
        no, attempt = hold.task.no, hold.attempt
        write(self._database, lambda c: tasks.finish(c, hold.study.id, no, state, attempt=attempt, error=error))

    def count_death(self, hold: Hold) -> int:
        """Count an evaluator that died under the study; return how many did."""
        return write(self._database, lambda c: studies.add_attempt(c, hold.study.id))

    def fail(self, study_id: str, failure: StudyFailedError) -> None:
        """End a study with its cause; one that is being cancelled is cancelled then, without what it would deliver."""

        def work(connection: Connection) -> None:
            changes = {"error": failure.to_json()}
            if studies.transition(connection, study_id, expect=LIVE, to="failed", changes=changes) is None:
                studies.transition(connection, study_id, expect={"cancelling"}, to="cancelled")

        _log.info("study %s failed: %s: %s", study_id, failure.code, failure.message)
        write(self._database, work)

    def give_up_delivering(self, study_id: str) -> None:
        """Make a study that is being cancelled ``cancelled`` without what it would deliver."""
        write(
            self._database, lambda c: studies.transition(c, study_id, expect={"cancelling"}, to="cancelled") is not None
        )

    def settle(self, study_id: str, dead_s: float) -> bool:
        """Make a study that is being cancelled ``cancelled`` once no living worker computes for it."""

        def work(connection: Connection) -> bool:
            row = studies.load(connection, study_id, lock=True)
            if row is None or row.state != "cancelling":
                return False
            alive = workers.alive(connection, dead_s)
            if any(task.state == "running" and task.worker in alive for task in tasks.listing(connection, study_id)):
                return False
            return studies.transition(connection, study_id, expect={"cancelling"}, to="cancelled") is not None

        return write(self._database, work)

    def succeed(self, hold: Hold, files: Sequence[File], changes: Mapping[str, Any]) -> None:
        """Deliver all files and end the study, at once.

        Raises:
            LostError: If the study is not ours any more; nothing was delivered.
        """
        row = hold.study

        def work(connection: Connection) -> None:
            current = studies.load(connection, row.id, lock=True)
            if current is None or not _is_ours(connection, current, hold, self._executor):
                raise LostError
            for file in files:
                artifacts.put(connection, study_id=row.id, tenant_id=row.tenant_id, **asdict(file))
            tasks.finish(connection, row.id, hold.task.no, "succeeded", attempt=hold.attempt)
            progress = {**(current.progress or {}), "completed": 1}
            done = {**changes, "progress": progress}
            to = "cancelled" if current.state == "cancelling" else "succeeded"
            studies.transition(connection, row.id, expect={current.state}, to=to, changes=done)
            for file in files:
                _event(connection, row, "artifact", {"name": file.name, "size": file.size})

        write(self._database, work)


def run_of(row: Study) -> int:
    """The newest run of a study that a worker has begun; 0 if none has."""
    return int((row.progress or {}).get("run", 0))


def is_wanted(row: Study, no: int) -> bool:
    """Whether a study wants its task ``no``: all while it runs, those that deliver while it is cancelled."""
    return row.state == "running" or (row.state == "cancelling" and no in (row.progress or {}).get(DELIVERS, ()))


def _delivering(connection: Connection, row: Study) -> Study | None:
    """The study, which is being cancelled, from now on with the best so far; None if it has nothing yet."""
    if not tasks.listing(connection, row.id):
        return None
    stopped = row.stopped or "cancel"
    studies.update(connection, row.id, stopped=stopped)
    return replace(row, stopped=stopped)


def _is_ours(connection: Connection, row: Study, hold: Hold, executor: str) -> bool:
    """Whether the study, as it is now, wants the task, and wants it from us."""
    if not is_wanted(row, hold.task.no):
        return False
    return tasks.holder(connection, row.id, hold.task.no) == (executor, hold.attempt)


def _event(connection: Connection, row: Study, kind: str, data: Mapping[str, Any]) -> None:
    events.append(connection, study_id=row.id, tenant_id=row.tenant_id, kind=kind, data=data)
