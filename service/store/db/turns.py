"""Whose study is next: tenants take turns by weight; inside a tenant priority counts, then age.

Start-time fair queueing (Goyal, Vin and Cheng, 1996): every tenant has a tag, ``max(V, last start + 1 / weight)``; the
smallest tag is next, and becomes the tenant's last start. ``V`` is the newest start of all: a tenant that asked for
nothing for a week has saved nothing up, and one that waits for a limit of its own loses nothing of its weight later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.schema import studies, tenant_days, tenant_turns, tenants
from service.store.db.studies import Study
from service.store.db.tenants import Defaults
from service.store.db.writing import upsert

_LOCK = 7_215_403
"""Key of the advisory lock under which one transaction at a time chooses (any number that nobody else uses)."""
_COUNTED = ("running", "cancelling")


@dataclass(frozen=True, kw_only=True)
class Share:
    """How a tenant stands.

    Attributes:
        tenant_id: Who.
        name: What it is called.
        weight: Its share of all starts, relative to the others'.
        max_running: Studies of it that may run at once; None sets no limit.
        day_seconds: Evaluator seconds it may use in a day (UTC); None sets no limit.
        running: Studies that run, or have been given to a worker.
        waiting: Studies in line.
        used_s: Evaluator seconds used today.
        last_start: Tag of its last start.
    """

    tenant_id: str
    name: str
    weight: float
    max_running: int | None
    day_seconds: float | None
    running: int
    waiting: int
    used_s: float
    last_start: float

    @property
    def held_by(self) -> str | None:
        """Why none of its studies may start now: ``running | seconds``, or None."""
        if self.max_running is not None and self.running >= self.max_running:
            return "running"
        return "seconds" if self.day_seconds is not None and self.used_s >= self.day_seconds else None


def next_tenant(shares: Sequence[Share]) -> Share | None:
    """Return whose turn it is, with its new tag as ``last_start``; None if nobody waits or all are held."""
    newest = max((one.last_start for one in shares), default=0.0)
    able = [one for one in shares if one.waiting and one.held_by is None]
    tagged = [replace(one, last_start=max(newest, one.last_start + 1 / one.weight)) for one in able]
    return min(tagged, key=lambda one: (one.last_start, one.tenant_id), default=None)


def order(shares: Sequence[Share], most: int) -> tuple[str, ...]:
    """Return the tenants of the next ``most`` starts, as if nobody new came and running studies made room."""
    left = {one.tenant_id: one for one in shares}
    found: list[str] = []
    while len(found) < most and (chosen := next_tenant(list(left.values()))) is not None:
        found.append(chosen.tenant_id)
        left[chosen.tenant_id] = replace(chosen, waiting=chosen.waiting - 1, max_running=None)
    return tuple(found)


def read_shares(connection: Connection, defaults: Defaults) -> tuple[Share, ...]:
    """Return how every tenant stands that has a study in line or running; the cost does not grow with the line."""
    mine = studies.c.tenant_id == tenants.c.id
    waits = sa.and_(studies.c.state == "queued", studies.c.dispatched.is_(False))
    runs = sa.or_(studies.c.state.in_(_COUNTED), sa.and_(studies.c.state == "queued", studies.c.dispatched.is_(True)))
    counts = {
        name: sa.select(sa.func.count()).select_from(studies).where(mine, here).scalar_subquery()
        for name, here in (("running", runs), ("waiting", waits))
    }
    today = sa.select(tenant_days.c.seconds).where(
        tenant_days.c.tenant_id == tenants.c.id, tenant_days.c.day == _today()
    )
    start = sa.select(tenant_turns.c.last_start).where(tenant_turns.c.tenant_id == tenants.c.id)
    query = sa.select(
        tenants,
        *(count.label(name) for name, count in counts.items()),
        sa.func.coalesce(today.scalar_subquery(), 0.0).label("used_s"),
        sa.func.coalesce(start.scalar_subquery(), 0.0).label("last_start"),
    ).order_by(tenants.c.id)
    return tuple(_share(row, defaults) for row in connection.execute(query))


def take_next(connection: Connection, defaults: Defaults, capacity: int) -> Study | None:
    """Choose the next study and note that it was given to the workers.

    Args:
        connection: Writing transaction; on PostgreSQL others that choose wait until it ends.
        defaults: Limits of tenants that have none of their own.
        capacity: Studies that all workers together run at once.

    Returns:
        The study; None if nobody waits, all who do are held by a limit, or the workers have enough.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    shares = read_shares(connection, defaults)
    if sum(one.running for one in shares) >= capacity or (chosen := next_tenant(shares)) is None:
        return None
    # One that is being cancelled right now is not waited for.
    study_id = connection.scalar(_waiting(chosen.tenant_id).limit(1).with_for_update(skip_locked=True))
    if study_id is None:
        return None
    upsert(connection, tenant_turns, [{"tenant_id": chosen.tenant_id, "last_start": chosen.last_start}])
    row = connection.execute(
        studies.update().where(studies.c.id == study_id).values(dispatched=True).returning(studies)
    )
    return Study(**row.mappings().one())


def spend(connection: Connection, tenant_id: str, seconds: float) -> None:
    """Count evaluator seconds of today (UTC, by this machine's clock: a day's limit does not need a better one)."""
    key = {"tenant_id": tenant_id, "day": _today()}
    mine = sa.and_(tenant_days.c.tenant_id == tenant_id, tenant_days.c.day == key["day"])
    spent = connection.execute(tenant_days.update().where(mine).values(seconds=tenant_days.c.seconds + seconds))
    if not spent.rowcount:
        upsert(connection, tenant_days, [{**key, "seconds": seconds}])


def is_spent(connection: Connection, tenant_id: str, defaults: Defaults) -> bool:
    """Whether the tenant has used its evaluator seconds of today."""
    limit = connection.scalar(sa.select(tenants.c.day_seconds).where(tenants.c.id == tenant_id)) or defaults.day_seconds
    if limit is None:
        return False
    mine = sa.and_(tenant_days.c.tenant_id == tenant_id, tenant_days.c.day == _today())
    return float(connection.scalar(sa.select(tenant_days.c.seconds).where(mine)) or 0.0) >= limit


def waiting_of(connection: Connection, tenant_id: str, most: int) -> tuple[str, ...]:
    """Identifiers of the tenant's studies that wait for its turn, the next one first."""
    return tuple(connection.scalars(_waiting(tenant_id).limit(most)))


def forget_days(connection: Connection, before: str) -> int:
    """Delete the counts of days before ``before`` (``YYYY-MM-DD``); return how many."""
    return connection.execute(tenant_days.delete().where(tenant_days.c.day < before)).rowcount


def _waiting(tenant_id: str) -> sa.Select[tuple[str]]:
    """The tenant's line: priority first, then age, which the identifier tells."""
    here = sa.and_(studies.c.tenant_id == tenant_id, studies.c.state == "queued", studies.c.dispatched.is_(False))
    return sa.select(studies.c.id).where(here).order_by(studies.c.priority.desc(), studies.c.id)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _share(row: sa.Row[tuple[object, ...]], defaults: Defaults) -> Share:
    found = row._mapping
    return Share(
        tenant_id=found["id"],
        name=found["name"],
        weight=found["weight"] or 1.0,
        max_running=found["max_running"] or defaults.max_running,
        day_seconds=found["day_seconds"] or defaults.day_seconds,
        running=found["running"],
        waiting=found["waiting"],
        used_s=found["used_s"],
        last_start=found["last_start"],
    )
