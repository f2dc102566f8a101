"""Tenants: whose rows are whose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.ids import new_id
from service.store.db.schema import tenants
from service.store.db.writing import insert_missing


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """One customer, team or site."""

    id: str
    name: str
    created: datetime


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
