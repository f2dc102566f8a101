"""Tasks of a study: what a worker runs at once. The queue itself belongs to the engine; this is what people see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.columns import now
from service.store.db.schema import tasks
from service.store.db.writing import insert_missing

_CHUNK = 500
_ENDED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """A task to come: its items as ``payload`` (JSON), its identity as ``digest``."""

    digest: str
    kind: str
    label: str
    n_items: int
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class TaskRow:
    """A task as it stands.

    Attributes:
        attempt: How often it was begun.
        worker: Executor that began it last.
    """

    study_id: str
    no: int
    tenant_id: str
    digest: str
    kind: str
    label: str
    n_items: int
    state: str
    attempt: int
    worker: str | None
    payload: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    created: datetime
    started: datetime | None
    finished: datetime | None


def put(connection: Connection, *, study_id: str, tenant_id: str, plans: Iterable[TaskPlan]) -> tuple[TaskRow, ...]:
    """Store tasks that are not there yet and return all of ``plans`` as they stand, in order.

    A task keeps its number: a replay that proposes it again gets the same one.
    """
    wanted = list(plans)
    digests = [plan.digest for plan in wanted]
    there = _by_digest(connection, study_id, digests)
    newest = connection.scalar(sa.select(sa.func.max(tasks.c.no)).where(tasks.c.study_id == study_id))
    following = 1 + int(newest or 0)
    for plan in wanted:
        if plan.digest in there:
            continue
        values = {"study_id": study_id, "no": following, "tenant_id": tenant_id, "digest": plan.digest}
        values |= {"kind": plan.kind, "label": plan.label, "n_items": plan.n_items, "payload": plan.payload}
        insert_missing(connection, tasks, {**values, "state": "queued", "attempt": 0})
        following += 1
    rows = _by_digest(connection, study_id, digests)
    return tuple(rows[digest] for digest in digests)


def _by_digest(connection: Connection, study_id: str, digests: Sequence[str]) -> dict[str, TaskRow]:
    found: dict[str, TaskRow] = {}
    for start in range(0, len(digests), _CHUNK):
        here = sa.and_(tasks.c.study_id == study_id, tasks.c.digest.in_(digests[start : start + _CHUNK]))
        for row in connection.execute(sa.select(tasks).where(here)).mappings():
            found[row["digest"]] = TaskRow(**row)
    return found


def get(connection: Connection, study_id: str, no: int) -> TaskRow | None:
    """Return one task."""
    query = sa.select(tasks).where(tasks.c.study_id == study_id, tasks.c.no == no)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else TaskRow(**row)


def holder(connection: Connection, study_id: str, no: int) -> tuple[str | None, int] | None:
    """Return who began a task last, and the number of that attempt; None if there is no such task."""
    query = sa.select(tasks.c.worker, tasks.c.attempt).where(tasks.c.study_id == study_id, tasks.c.no == no)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.worker, row.attempt)


def listing(connection: Connection, study_id: str, tenant_id: str | None = None) -> tuple[TaskRow, ...]:
    """Return all tasks of a study by number; of the tenant only, if given."""
    query = sa.select(tasks).where(tasks.c.study_id == study_id).order_by(tasks.c.no)
    if tenant_id is not None:
        query = query.where(tasks.c.tenant_id == tenant_id)
    return tuple(TaskRow(**row) for row in connection.execute(query).mappings())


def start(connection: Connection, study_id: str, no: int, worker: str) -> int | None:
    """Say that ``worker`` begins the task; return the attempt's number, None if there is no such task."""
    here = sa.and_(tasks.c.study_id == study_id, tasks.c.no == no)
    values: dict[str, Any] = {"state": "running", "attempt": tasks.c.attempt + 1, "worker": worker, "error": None}
    values |= {"started": now(), "finished": None}
    attempt = connection.scalar(tasks.update().where(here).values(**values).returning(tasks.c.attempt))
    return None if attempt is None else int(attempt)


def finish(
    connection: Connection,
    study_id: str,
    no: int,
    state: str,
    *,
    attempt: int | None = None,
    error: Mapping[str, Any] | None = None,
) -> bool:
    """Say how the task ended.

    Args:
        connection: Open writing transaction.
        study_id: Its study.
        no: Its number.
        state: ``succeeded``, ``failed``, ``cancelled``, or ``queued`` to hand it back.
        attempt: Only if this is still its attempt: one that was taken over has nothing to say any more.
        error: Why it failed.

    Returns:
        Whether it was noted.
    """
    here = sa.and_(tasks.c.study_id == study_id, tasks.c.no == no)
    if attempt is not None:
        here = sa.and_(here, tasks.c.attempt == attempt)
    values = {"state": state, "error": error, "finished": now() if state in _ENDED else None}
    return connection.execute(tasks.update().where(here).values(**values)).rowcount == 1
