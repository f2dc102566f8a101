"""Tenants: whose rows are whose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.ids import new_id
from service.store.db.schema import tenants
from service.store.db.writing import insert_missing
from service.store.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """One customer, team or site.

    Attributes:
        weight: Its share of all starts, relative to the others'; None = 1.
        max_running: Studies of it that may run at once; None = as the settings say, also below.
        max_queued: Studies of it that may wait or run.
        day_seconds: Evaluator seconds it may use in a day.
    """

    id: str
    name: str
    created: datetime
    weight: float | None = None
    max_running: int | None = None
    max_queued: int | None = None
    day_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """Limits of tenants that have none of their own; None sets no limit."""

    max_running: int | None
    day_seconds: float | None


def defaults_of(settings: Settings) -> Defaults:
    """Limits of tenants that have none of their own."""
    return Defaults(max_running=settings.max_running_studies, day_seconds=settings.max_day_seconds)


def ensure(connection: Connection, name: str) -> Tenant:
    """Return the tenant called ``name``, made if there is none."""
    found = by_name(connection, name)
    if found is None:
        insert_missing(connection, tenants, {"id": new_id(), "name": name})
        found = by_name(connection, name)
    if found is None:
        raise RuntimeError(f"Tenant {name!r} was deleted while it was made.")
    return found


def lock(connection: Connection, tenant_id: str) -> None:
    """Let one transaction at a time go on behind this, until it ends; SQLite's writers take turns anyway."""
    connection.execute(sa.select(tenants.c.id).where(tenants.c.id == tenant_id).with_for_update())


def set_limits(connection: Connection, tenant_id: str, **limits: float | None) -> None:
    """Set ``weight``, ``max_running``, ``max_queued`` or ``day_seconds``; None gives the default back.

    Raises:
        ValueError: If there is no such limit.
    """
    if unknown := sorted(set(limits) - {"weight", "max_running", "max_queued", "day_seconds"}):
        raise ValueError(f"There is no limit {unknown[0]!r}.")
    connection.execute(tenants.update().where(tenants.c.id == tenant_id).values(**limits))


def get(connection: Connection, tenant_id: str) -> Tenant | None:
    """Return a tenant by its identifier."""
    return _one(connection, tenants.c.id == tenant_id)


def by_name(connection: Connection, name: str) -> Tenant | None:
    """Return a tenant by its name."""
    return _one(connection, tenants.c.name == name)


def listing(connection: Connection) -> tuple[Tenant, ...]:
    """Return all tenants by name."""
    rows = connection.execute(sa.select(tenants).order_by(tenants.c.name)).mappings()
    return tuple(Tenant(**row) for row in rows)


def _one(connection: Connection, condition: sa.ColumnElement[bool]) -> Tenant | None:
    row = connection.execute(sa.select(tenants).where(condition)).mappings().one_or_none()
    return None if row is None else Tenant(**row)
