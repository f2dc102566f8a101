"""The workflow handlers of a worker: say what a study needs next, and compute a task. What DBOS calls, without DBOS.

Nothing here keeps anything that matters: a worker may die at any line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.errors import SearchError
from search.tasks import ItemResult
from service.store import uploads
from service.store.blobs.errors import BlobNotFoundError, StorageFullError
from service.store.blobs.store import BlobStore, Staged
from service.store.db import blobs, items, studies, turns
from service.store.db.engine import Database
from service.store.db.studies import Study
from service.store.db.tenants import defaults_of
from service.store.settings import Settings
from workers.arrivals import Arrivals
from workers.database_retry import retry
from workers.derived import DELIVER
from workers.evaluator_process import EvaluatorProcess, Fetch, Open, StorageError
from workers.failures import StudyFailedError, failure_of
from workers.fork_server import EvaluatorDiedError
from workers.inputs import Inputs
from workers.media import media_type
from workers.pool import Pool
from workers.problem import StudyProblem, study_problem
from workers.rounds import ReplayCache, StudyReplay, limits_of
from workers.settling import settle
from workers.study_repository import File, Hold, LostError, StudyRepository, is_wanted
from workers.summary import summary_of
from workers.wakeup import WakeUps

WATCH_S = 0.5
"""How often a running task looks whether it is still wanted."""
DELIVERY_S = 60.0
"""How long a study that is being cancelled may compute one step of what it delivers."""
STORAGE_WAIT_S = 900.0
CHUNK = 2**20
_log = logging.getLogger(__name__)


@dataclass
class Runner:
    """The workflow handlers of one worker.

    Attributes:
        settings: Limits and places.
        database: Shared with all processes.
        store: Blobs.
        executor: Name of this life of the worker.
        wake_ups: Told when a task of a study has ended; named after the study.
        dispatch: Gives the workers the next study; called whenever one has left.
        draining: Set once nothing new may begin.
    """

    settings: Settings
    database: Database
    store: BlobStore
    executor: str
    wake_ups: WakeUps
    dispatch: Callable[[], None] = lambda: None
    draining: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.place = self.settings.scratch_dir / self.executor
        self.pool = Pool(self.settings, self.place)
        self.running: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._repository = StudyRepository(self.database, self.executor)
        self._inputs = Inputs(self.store)
        self._arrivals = Arrivals(self.settings, self.database, self.store)
        self._replays = ReplayCache()

    def tidy(self) -> None:
        """End idle evaluators whose study has ended; for other threads."""
        if self._loop is not None:
            with self.database.reading() as connection:
                going = studies.dispatched_in(connection, ("running",))
            asyncio.run_coroutine_threadsafe(self.pool.keep_only(going), self._loop).result(30)

    def stop_beginning(self) -> None:
        """Begin no item any more; for other threads."""
        self.draining.set()

    def close(self) -> None:
        """End all evaluators; for other threads."""
        if self._loop is not None:
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(self.pool.close(), self._loop).result(10)
        shutil.rmtree(self.place, ignore_errors=True)

    async def propose(self, study_id: str, run: int) -> dict[str, Any]:
        """Say what run ``run`` of a study needs next.

        Returns:
            ``tasks``: numbers, empty if there is nothing to do any more; ``inline``: whether to compute the only one
            on this worker; ``token``: makes the names of this round's jobs unique; ``priority``.
        """
        self._loop = asyncio.get_running_loop()
        await self._unless_draining()
        environment = await self.pool.environment()
        try:
            found = await asyncio.to_thread(self._propose, study_id, run, environment)
        except StudyFailedError as failure:
            await asyncio.to_thread(self._repository.fail, study_id, failure)
            return _nothing()
        except SearchError as error:
            await asyncio.to_thread(self._repository.fail, study_id, failure_of(error))
            return _nothing()
        except Exception as error:  # noqa: BLE001  # a mistake of ours: the study fails, the worker goes on
            _log.exception("study %s: what is next could not be found out", study_id)
            self._replays.forget(study_id)
            unknown = StudyFailedError("internal-error", "system", f"{type(error).__name__}: {error}")
            await asyncio.to_thread(self._repository.fail, study_id, unknown)
            return _nothing()
        if not found["tasks"]:
            self._replays.forget(study_id)
            await asyncio.to_thread(self._repository.settle, study_id, self.settings.dead_s)
            await asyncio.to_thread(self._dispatch)
        return found

    def _dispatch(self) -> None:
        """Give the workers what is next; the next heartbeat does so too."""
        try:
            self.dispatch()
        except Exception as error:  # noqa: BLE001  # no study is to blame
            _log.warning("the next study could not be given to the workers now: %s", error)

    def _propose(self, study_id: str, run: int, environment: Mapping[str, str]) -> dict[str, Any]:
        row = self._repository.begin_study(study_id, run)
        row = None if row is None else self._arrivals.bring(row)
        if row is None or self._is_held(row):
            return _nothing()
        row = self._repository.pin(row, environment)
        study_replay = self._replays.get(study_id, (row.problem, environment), lambda: self._problem(row, environment))
        with study_replay.lock:
            found = self._advance(study_replay, row)
        stored = self._repository.store_round(row, found)
        if not stored and row.state == "running":  # it may be cancelled meanwhile: then it delivers
            return self._propose(study_id, run, environment) if self._is_cancelling(study_id) else _nothing()
        return {
            "tasks": [task.no for task in stored],
            "inline": bool(stored) and found.is_small,
            "token": secrets.token_hex(4),
            "priority": row.priority,
        }

    def _is_held(self, row: Study) -> bool:
        """Whether the study goes back into line because its tenant has used up its seconds of the day."""
        if row.state != "running":
            return False
        if not self._repository.read(lambda c: turns.is_spent(c, row.tenant_id, defaults_of(self.settings))):
            return False
        self._repository.hand_back(row)
        return True

    def _is_cancelling(self, study_id: str) -> bool:
        row = self._repository.study(study_id)
        return row is not None and row.state == "cancelling"

    def _advance(self, study_replay: StudyReplay, row: Study) -> Any:
        self._repository.read(lambda c: study_replay.catch_up(c, row.id))
        return study_replay.advance(row)

    def _problem(self, row: Study, environment: Mapping[str, str]) -> StudyProblem:
        return study_problem(row.spec, row.problem or {"inputs": {}}, environment, self.store.read)

    async def compute(self, study_id: str, no: int) -> None:
        """Compute a task item by item; returns when it is done, has failed, or is not wanted any more."""
        self._loop = asyncio.get_running_loop()
        await self._unless_draining()
        work = asyncio.create_task(self._compute(study_id, no))
        watch = asyncio.create_task(self._watch(study_id, no, work))
        key = f"{study_id}/{no}"
        self.running.add(key)
        try:
            await asyncio.wait({work})
        finally:
            watch.cancel()
            work.cancel()
            await asyncio.wait({work})
            self.running.discard(key)
            self.wake_ups.send(study_id)
        if not work.cancelled() and (error := work.exception()) is not None:
            raise error
        await self._unless_draining()

    async def settle(self, study_id: str, nos: Sequence[int], is_over: Callable[[], Awaitable[bool]]) -> None:
        """Wait until all items of these tasks have results, the study wants none any more, or ``is_over``."""
        await settle(self._repository, self.wake_ups, study_id, nos, is_over)

    async def _watch(self, study_id: str, no: int, work: asyncio.Task[None]) -> None:
        """End the work, and with it its process, as soon as its study does not want it any more."""
        begun = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_S)
            row = await asyncio.to_thread(self._repository.study, study_id)
            if row is not None and row.state == "cancelling" and time.monotonic() - begun > DELIVERY_S:
                await asyncio.to_thread(self._repository.give_up_delivering, study_id)
                row = None
            if row is None or not is_wanted(row, no):
                work.cancel()
                return

    async def _unless_draining(self) -> None:
        """Wait for the end of the process instead of beginning something: others take the work over then."""
        if self.draining.is_set():
            await asyncio.Event().wait()

    async def _compute(self, study_id: str, no: int) -> None:
        hold = await asyncio.to_thread(self._repository.begin_task, study_id, no)
        if hold is None:
            return
        try:
            await self._persist(hold)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(self._repository.end_task, hold, "cancelled"))
            raise

    async def _persist(self, hold: Hold) -> None:
        """Attempt the task until it has an end."""
        deadline = time.monotonic() + STORAGE_WAIT_S
        pause = 1.0
        while True:
            try:
                await self._attempt(hold)
                return
            except LostError:
                _log.info("task %s of study %s is not ours any more", hold.task.no, hold.study.id)
                await asyncio.to_thread(self._repository.end_task, hold, "cancelled")
                return
            except (StorageError, StorageFullError) as error:
                if time.monotonic() > deadline:
                    text = f"Nothing could be written for {STORAGE_WAIT_S:g} s: {error}"
                    await self._fail(hold, StudyFailedError("storage-full", "system", text))
                    return
                _log.warning("study %s waits for storage: %s", hold.study.id, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, 30.0)
            except EvaluatorDiedError as death:
                if not await self._survives(hold, death):
                    return
            except StudyFailedError as failure:
                await self._fail(hold, failure)
                return
            hold = await asyncio.to_thread(self._repository.again, hold)

    async def _survives(self, hold: Hold, death: EvaluatorDiedError) -> bool:
        """Count a death; a study that has killed too many evaluators fails."""
        count = await asyncio.to_thread(self._repository.count_death, hold)
        _log.warning("study %s: %s (%d)", hold.study.id, death, count)
        if count < self.settings.max_evaluator_deaths:
            return True
        text = f"{death} It did so {count} times, while it was asked to {hold.task.label}."
        await self._fail(hold, StudyFailedError("evaluator-died", "user", text))
        return False

    async def _fail(self, hold: Hold, failure: StudyFailedError) -> None:
        await asyncio.to_thread(self._repository.end_task, hold, "failed", failure.to_json())
        await asyncio.to_thread(self._repository.fail, hold.study.id, failure)

    async def _attempt(self, hold: Hold) -> None:
        if hold.study.state == "cancelling":
            await self.pool.drop(hold.study.id)  # nothing that was begun before goes on
        async with self.pool.evaluator(_evaluator_key(hold.study)) as process:
            await self._open(process, hold)
            do = self._deliver if hold.task.kind == DELIVER else self._run
            await do(process, hold)

    async def _open(self, process: EvaluatorProcess, hold: Hold) -> None:
        if process.study_id == _evaluator_key(hold.study):
            return
        problem = hold.study.problem or {}
        environment = (problem.get("environments") or [{}])[-1]
        if environment != process.environment:
            raise StudyFailedError("environment-changed", "system", "Workers of different kinds share the study.")
        study = self._problem(hold.study, environment)
        paths = await asyncio.to_thread(self._inputs.lay_out, study.inputs, process.folder)
        opened = Open(_evaluator_key(hold.study), hold.study.spec, problem, environment)
        await process.open(opened, paths, self._fetch_for(hold.study))

    def _fetch_for(self, study: Study) -> Fetch:
        """What answers an evaluator that asks for a blob: only with what belongs to the tenant of its study."""

        def fetch(digest: str) -> Path | None:
            if self._repository.read(lambda c: blobs.find(c, study.tenant_id, digest)) is None:
                return None
            try:
                return self._inputs.verified(digest)
            except (BlobNotFoundError, ValueError):
                return None

        return fetch

    async def _run(self, process: EvaluatorProcess, hold: Hold) -> None:
        asked = (hold.task.payload or {}).get("items", ())
        left = {digest: one for digest, one in zip(hold.digests, asked, strict=True) if digest not in hold.known}
        if not left:
            await asyncio.to_thread(self._repository.end_task, hold, "succeeded")
            return
        message = {"op": "run", "items": list(left.values()), "cpu_s": self.settings.evaluator_cpu_s}
        async for line in process.ask(message, self._fetch_for(hold.study)):
            seconds = await asyncio.to_thread(self._take_item, process, hold, left, line)
            if left and (self.draining.is_set() or self._is_late(hold.study, seconds)):
                await process.stop_after_item()
        if left:
            await asyncio.to_thread(self._repository.end_task, hold, "queued")

    def _is_late(self, row: Study, seconds: float) -> bool:
        limit = limits_of(row).max_seconds
        return row.stopped is None and limit is not None and seconds >= limit

    def _take_item(
        self, process: EvaluatorProcess, hold: Hold, left: dict[str, Mapping[str, Any]], line: Mapping[str, Any]
    ) -> float:
        """Keep the blobs of an item, then its result; it is left no more then."""
        digest = line.get("digest")
        if line.get("say") != "item" or digest not in left or line.get("kind") != left[str(digest)]["kind"]:
            raise StudyFailedError("internal-error", "system", "The evaluator answered what it was not asked.")
        blobs = {str(name): self._keep(process, hold, file).digest for name, file in dict(line["blobs"]).items()}
        result = ItemResult(str(digest), str(line["kind"]), line["data"], blobs, seconds=float(line["seconds"]))
        seconds = self._repository.put_item(hold, result, is_last=len(left) == 1)
        del left[result.digest]
        return seconds

    def _keep(self, process: EvaluatorProcess, hold: Hold, name: object) -> File:
        """Take a file of the evaluator into the store."""
        path = process.take(name)

        def keep() -> Staged:
            with path.open("rb") as file:
                staged = self.store.stage(iter(lambda: file.read(CHUNK), b""), limit=self.settings.max_dataset_bytes)
            uploads.keep(self.database, self.store, hold.study.tenant_id, staged)
            return staged

        kept = retry(keep)
        path.unlink()
        return File(name=str(name), digest=kept.digest, size=kept.size, media_type="application/octet-stream")

    async def _deliver(self, process: EvaluatorProcess, hold: Hold) -> None:
        results = await asyncio.to_thread(self._repository.read, lambda c: items.read(c, hold.study.id))
        message = {
            "op": DELIVER,
            "results": [vars(result) for result in results.values()],
            **(hold.task.payload or {}),
            "cpu_s": self.settings.evaluator_cpu_s,
        }
        files: list[File] = []
        async for line in process.ask(message, self._fetch_for(hold.study)):
            name = str(line.get("name"))
            kept = await asyncio.to_thread(self._keep, process, hold, line.get("file"))
            files.append(File(name=name, digest=kept.digest, size=kept.size, media_type=media_type(name)))
        changes = await asyncio.to_thread(summary_of, files, self.store.read)
        await asyncio.to_thread(self._repository.succeed, hold, files, changes)


def _evaluator_key(row: Study) -> str:
    """Whose an evaluator is: what a study delivers while it is cancelled gets one of its own."""
    return row.id if row.state == "running" else f"{row.id} delivers"


def _nothing() -> dict[str, Any]:
    return {"tasks": [], "inline": False, "token": "", "priority": 0}
