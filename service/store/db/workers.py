"""Workers and their signs of life, by the database's clock alone: machines disagree about the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.columns import now, seconds_since
from service.store.db.schema import workers
from service.store.db.writing import upsert

COORDINATORS_PER_SLOT, MIN_COORDINATORS = 2, 4


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One life of one worker process.

    Attributes:
        executor_id: Never used again by another life.
        slots: Evaluations it runs at once.
        state: ``active``, ``draining`` or ``stopped``.
        silent_s: Seconds since its last sign of life.
    """

    executor_id: str
    host: str
    pid: int
    version: str
    slots: int
    state: str
    detail: Mapping[str, Any] | None
    started: datetime
    seen: datetime
    silent_s: float


def beat(
    connection: Connection,
    *,
    executor_id: str,
    host: str,
    pid: int,
    version: str,
    slots: int,
    state: str = "active",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Give a sign of life; the first one registers the worker."""
    row = {"executor_id": executor_id, "host": host, "pid": pid, "version": version, "slots": slots}
    upsert(connection, workers, [{**row, "state": state, "detail": detail, "seen": now()}], keep=("started",))


def alive(connection: Connection, dead_s: float) -> frozenset[str]:
    """Executors that gave a sign of life within ``dead_s`` and have not stopped."""
    here = sa.and_(workers.c.seen >= now(dead_s), workers.c.state != "stopped")
    return frozenset(connection.scalars(sa.select(workers.c.executor_id).where(here)))


def listing(connection: Connection) -> tuple[Worker, ...]:
    """Return all known workers, the one seen last first."""
    query = sa.select(*workers.c, seconds_since(workers.c.seen).label("silent_s"))
    rows = connection.execute(query.order_by(workers.c.seen.desc(), workers.c.executor_id)).mappings()
    return tuple(Worker(**{**row, "silent_s": max(0.0, row["silent_s"])}) for row in rows)


def coordinators(slots: int) -> int:
    """Studies that a worker with ``slots`` slots has at hand: they take turns, round by round."""
    return max(MIN_COORDINATORS, COORDINATORS_PER_SLOT * slots)


def capacity(connection: Connection, dead_s: float) -> int:
    """Studies that all workers which live and take new work have at hand at most."""
    active = [one for one in listing(connection) if one.state == "active" and one.silent_s <= dead_s]
    return sum(coordinators(one.slots) for one in active)


def remove(connection: Connection, executor_id: str) -> None:
    """Say that an executor is gone: its work can be taken over at once."""
    connection.execute(workers.delete().where(workers.c.executor_id == executor_id))


def forget(connection: Connection, silent_s: float) -> int:
    """Delete workers that were silent for ``silent_s``; return how many."""
    return connection.execute(workers.delete().where(workers.c.seen < now(silent_s))).rowcount
