"""The only module that knows DBOS: it dispatches studies and tasks, survives deaths, and decides nothing.

Our own rows are the truth. A workflow's body may be replayed by another process from the recorded results of its steps,
so bodies stay as they are; whoever changes one must raise ``VERSION`` (a test compares their digest).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from dbos import (
    DBOS,
    DBOSClient,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    EnqueueOptions,
    SetEnqueueOptions,
    SetWorkflowID,
)
from dbos._dbos import _get_dbos_instance as _dbos
from dbos._queue import queue_worker_thread
from dbos._utils import INTERNAL_QUEUE_NAME
from sqlalchemy.engine import Connection, make_url

from search.canonical import digest_bytes
from service.store.db.workers import coordinators
from service.store.settings import Settings
from workers.database_retry import retry
from workers.wakeable import WakeableEvent
from workers.wakeup import WakeUps

VERSION = "engine-2"
"""Goes up only when a workflow's body changes: workers of the old version then finish what they began."""
APPLICATION = "bitbudget"
SEARCH, EVAL = "search", "eval"
_POLL_S = 1.0  # what is in line waits so long only if no wake-up arrived
_MIDDLE = 2**30
_LIVE = ["PENDING", "ENQUEUED", "DELAYED"]
_GIVEN_UP = ["ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]


class WorkflowHandlers(Protocol):
    """What the workflows call; ``workers.runner.Runner`` is it."""

    async def propose(self, study_id: str, run: int) -> dict[str, Any]:
        """Say what is next."""
        ...

    async def compute(self, study_id: str, no: int) -> None:
        """Compute a task."""
        ...

    async def settle(self, study_id: str, nos: Sequence[int], is_over: Callable[[], Awaitable[bool]]) -> None:
        """Wait until these tasks have their results, or until ``is_over``: nobody works on them any more."""
        ...


_handlers: list[WorkflowHandlers] = []
_wake_ups: list[WakeUps] = []


@DBOS.step()
async def propose(study: str, run: int) -> dict[str, Any]:
    """What is next, recorded: a replay gets the same answer, and one that was taken over ends here."""
    found = await _handlers[0].propose(study, run)
    if not found["tasks"]:
        look_after_this(SEARCH)
    return found


@DBOS.step(preemptible=True)
async def compute(study: str, no: int) -> None:
    """A task; recorded as done, its results are in our own rows."""
    await _handlers[0].compute(study, no)


async def settle(study: str, nos: list[int], names: list[str]) -> None:
    """The end of tasks that others compute, too. No step: a replay finds their results and does not wait."""
    await _handlers[0].settle(study, nos, lambda: asyncio.to_thread(retry, lambda: _are_over(names)))


@DBOS.workflow(name="task", max_recovery_attempts=100)
async def task(study: str, no: int) -> None:
    """One task on whichever worker takes it."""
    look_after_this()
    await compute(study, no)


@DBOS.workflow(name="search", max_recovery_attempts=1000)
async def search(study: str, run: int) -> None:
    """One study from its first task to its last."""
    while (found := await propose(study, run))["tasks"]:
        if found["inline"]:
            await compute(study, found["tasks"][0])
            continue
        names = []
        for no in found["tasks"]:
            names.append(f"{study}.{run}:{found['token']}:{no}")
            with SetWorkflowID(names[-1]), SetEnqueueOptions(priority=rank(found)):
                await DBOS.enqueue_workflow_async(EVAL, task, study, no)
            tell_line()
        await settle(study, found["tasks"], names)


def look_after_this(queue: str = EVAL) -> None:
    """Let this worker look for what is next in line as soon as DBOS has closed the workflow that runs here."""
    running = asyncio.current_task()
    if running is not None:
        running.add_done_callback(lambda _: _wake_ups[0].send_here(queue))


def tell_line() -> None:
    """Let all workers look for tasks."""
    _wake_ups[0].send(EVAL)


def _are_over(names: list[str]) -> bool:
    """Whether none of these task workflows waits or runs any more.

    Raises:
        RuntimeError: If one was given up.
    """
    # Not DBOS.list_workflows, which would be recorded as a step: how often this is asked depends on the clock.
    found = _dbos()._sys_db.list_workflows(workflow_ids=names, load_input=False, load_output=False)
    given_up = [one.workflow_id for one in found if one.status in _GIVEN_UP]
    if given_up:
        raise RuntimeError(f"Given up: {', '.join(given_up)}.")
    return not any(one.status in _LIVE for one in found)


def rank(found: Mapping[str, Any]) -> int:
    """DBOS's priority: the lowest number goes first."""
    return max(1, min(2**31 - 1, _MIDDLE - int(found["priority"])))


def bodies_digest() -> str:
    """Digest of the workflow bodies, as ``VERSION`` stands for them."""
    return digest_bytes("".join(inspect.getsource(one) for one in (search, task)).encode())


def system_url(settings: Settings) -> str:
    """Our database as DBOS wants it named."""
    url = make_url(settings.database)
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


def migrate(settings: Settings) -> None:
    """Make or update DBOS's own tables; safe to run at any time by any number of processes."""
    quiet()
    DBOS.migrate(system_url(settings))


def launch(settings: Settings, executor: str, handlers: WorkflowHandlers, wake_ups: WakeUps) -> None:
    """Let this process run workflows, as ``executor``: a name that no other life of a worker ever has."""
    quiet()
    _handlers[:], _wake_ups[:] = [handlers], [wake_ups]
    config: DBOSConfig = {
        "name": APPLICATION,
        "system_database_url": system_url(settings),
        "application_version": VERSION,
        "executor_id": executor,
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "ERROR",
        "sys_db_pool_size": max(2, settings.database_pool),
        "run_migrations": True,
        "enable_otlp": False,
    }
    DBOS(config=config)
    DBOS.listen_queues([])  # by ourselves: see _take
    DBOS.launch()
    for name, most in ((SEARCH, coordinators(settings.slots)), (EVAL, settings.slots)):
        DBOS.register_queue(name, worker_concurrency=most, polling_interval_sec=_POLL_S, on_conflict=_ALWAYS)
        threading.Thread(target=_take, args=(name, most, wake_ups), name=f"takes-{name}", daemon=True).start()


def _take(name: str, most: int, wake_ups: WakeUps) -> None:
    """DBOS's own loop over a queue, which polls at every wake-up, not only when it is time."""
    queue = DBOS.retrieve_queue(name)
    assert queue is not None
    queue.database_backed_queue = False  # what counts is the size of this worker, not that of the one that came last
    queue._worker_concurrency = most
    event = WakeableEvent()
    with wake_ups.subscribed(name, event.wake):
        queue_worker_thread(event, _dbos(), queue)


_ALWAYS: Any = "always_update"


def recover(alive: Collection[str]) -> tuple[str, ...]:
    """Hand on the work of executors that are not alive; safe to repeat, and wrong guesses do no harm (DBOS fences)."""
    pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    dead = sorted({one.executor_id for one in pending if one.executor_id is not None} - set(alive))
    if dead:
        DBOS._recover_pending_workflows(dead)  # there is no public way; hence dbos<3.5
    return tuple(dead)


def unattended(executor: str) -> frozenset[str]:
    """Workflows that DBOS counts as running in this process, ``executor``, though nothing here runs them.

    That is what a connection leaves behind that breaks between taking a workflow and beginning it, or while its end is
    recorded; DBOS looks after such workflows at the next start only.
    """
    pending = DBOS.list_workflows(status="PENDING", executor_id=executor, load_input=False, load_output=False)
    running = set(_dbos()._active_workflows_set.activeList())
    return frozenset(one.workflow_id for one in pending) - running


def hand_on(names: Collection[str], executor: str) -> None:
    """Put workflows of ``executor`` in line again; one that has ended or moved meanwhile stays as it is."""
    for name in names:
        _dbos()._sys_db.reenqueue_for_recovery(name, [executor], INTERNAL_QUEUE_NAME)


def live_runs() -> dict[str, list[str]]:
    """Study to the names of its search workflows that wait or run."""
    found: dict[str, list[str]] = {}
    for one in DBOS.list_workflows(status=_LIVE, name=SEARCH, load_input=False, load_output=False):
        found.setdefault(one.workflow_id.partition(".")[0], []).append(one.workflow_id)
    return found


def last_status(study_id: str) -> str | None:
    """How the newest search workflow of a study stands; None if there is none."""
    found = DBOS.list_workflows(workflow_id_prefix=f"{study_id}.", name=SEARCH, load_input=False, load_output=False)
    newest = max(found, key=lambda one: int(one.workflow_id.rpartition(".")[2]), default=None)
    return None if newest is None else str(newest.status)


def end(names: Collection[str]) -> None:
    """End search workflows with their tasks; what computes is told by its own watch."""
    DBOS.cancel_workflows(list(names), cancel_children=True)


def forget_ended(age_s: float, *, limit: int = 200) -> int:
    """Delete DBOS's records of studies that ended longer ago than ``age_s``; return how many."""
    before = (datetime.now(UTC) - timedelta(seconds=age_s)).isoformat()
    ended = ["SUCCESS", "CANCELLED", *_GIVEN_UP]
    found = DBOS.list_workflows(
        status=ended, name=SEARCH, completed_before=before, limit=limit, load_input=False, load_output=False
    )
    names = [one.workflow_id for one in found]
    if names:
        DBOS.delete_workflows(names, delete_children=True)
    return len(names)


class Client:
    """The side that only puts studies in line."""

    def __init__(self, settings: Settings) -> None:
        quiet()
        self._client = DBOSClient(
            system_database_url=system_url(settings),
            application_name=APPLICATION,
            serializer=DBOSPortableJSONSerializer(),
            lazy=True,
        )

    def enqueue(
        self, connection: Connection, study_id: str, run: int, *, priority: int, timeout_s: float | None
    ) -> None:
        """Put a run of a study in line, in the caller's transaction."""
        options: EnqueueOptions = {
            "workflow_name": SEARCH,
            "queue_name": SEARCH,
            "workflow_id": f"{study_id}.{run}",
            "app_version": VERSION,
            "priority": rank({"priority": priority}),
        }
        if timeout_s is not None:
            options["workflow_timeout"] = timeout_s
        self._client.enqueue_in_transaction(connection, options, study_id, run)

    def close(self) -> None:
        """Give its connections back."""
        self._client.destroy()


def quiet() -> None:
    """Keep DBOS's reports of cancelled and interrupted work, which are no errors here, out of the log."""
    logger = logging.getLogger("dbos")
    if not any(isinstance(one, _Known) for one in logger.filters):
        logger.addFilter(_Known())


class _Known(logging.Filter):
    """Drops what is part of normal work."""

    _PARTS = ("was cancelled", "has been cancelled", "no longer owned", "CancelledError", "Database connection failed")

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not any(part in text for part in self._PARTS)
