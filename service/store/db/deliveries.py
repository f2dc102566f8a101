"""Messages to webhooks: due at a time, tried again later, done or given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.columns import now
from service.store.db.ids import new_id
from service.store.db.pages import Order, Page, read_page
from service.store.db.schema import deliveries

_newest = Order("deliveries", (deliveries.c.id,), (str,), descending=True)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message to one webhook; its ``id`` stays the same over all tries.

    Attributes:
        attempts: Tries begun.
        status: HTTP status of the last answer.
        due: When it is tried next.
    """

    id: str
    webhook_id: str
    tenant_id: str
    kind: str
    payload: Mapping[str, Any]
    state: str
    attempts: int
    status: int | None
    error: str | None
    created: datetime
    due: datetime
    finished: datetime | None


def add(connection: Connection, *, webhook_id: str, tenant_id: str, kind: str, payload: Mapping[str, Any]) -> str:
    """Queue a message in the transaction of what it tells of; return its identifier."""
    found = new_id()
    values = {"id": found, "webhook_id": webhook_id, "tenant_id": tenant_id, "kind": kind, "payload": dict(payload)}
    connection.execute(deliveries.insert().values(**values, state="pending", due=now()))
    return found


def take(connection: Connection, *, lease_s: float, limit: int = 20) -> tuple[Delivery, ...]:
    """Take messages that are due; nobody else gets them for ``lease_s``, and each try counts as begun."""
    due = sa.and_(deliveries.c.state == "pending", deliveries.c.due <= now())
    query = sa.select(deliveries.c.id).where(due).order_by(deliveries.c.due).limit(limit)
    found = tuple(connection.scalars(query.with_for_update(skip_locked=True)))
    values = {"attempts": deliveries.c.attempts + 1, "due": now(-lease_s)}
    statement = deliveries.update().where(deliveries.c.id.in_(found)).values(**values).returning(deliveries)
    return tuple(Delivery(**row) for row in connection.execute(statement).mappings()) if found else ()


def done(connection: Connection, delivery_id: str, status: int) -> None:
    """Say that the receiver has it."""
    _set(connection, delivery_id, state="delivered", status=status, error=None, finished=now())


def failed(
    connection: Connection, delivery_id: str, *, retry_in_s: float | None, error: str, status: int | None = None
) -> None:
    """Say that a try failed: again in ``retry_in_s``, or never if None."""
    if retry_in_s is None:
        _set(connection, delivery_id, state="failed", status=status, error=error, finished=now())
    else:
        _set(connection, delivery_id, status=status, error=error, due=now(-retry_in_s))


def again(connection: Connection, tenant_id: str, delivery_id: str) -> bool:
    """Send a message once more, now; False if there is none."""
    mine = sa.and_(deliveries.c.id == delivery_id, deliveries.c.tenant_id == tenant_id)
    values = {"state": "pending", "due": now(), "finished": None}
    return connection.execute(deliveries.update().where(mine).values(**values)).rowcount == 1


def get(connection: Connection, tenant_id: str, delivery_id: str) -> Delivery | None:
    """Return a message of the tenant."""
    mine = sa.and_(deliveries.c.id == delivery_id, deliveries.c.tenant_id == tenant_id)
    row = connection.execute(sa.select(deliveries).where(mine)).mappings().one_or_none()
    return None if row is None else Delivery(**row)


def page(
    connection: Connection, tenant_id: str, webhook_id: str, *, cursor: str | None = None, limit: int = 50
) -> Page[Delivery]:
    """Return messages to a webhook of the tenant, newest first."""
    query = sa.select(deliveries).where(deliveries.c.tenant_id == tenant_id, deliveries.c.webhook_id == webhook_id)
    return read_page(connection, query, _newest, lambda row: Delivery(**row), cursor=cursor, limit=limit)


def forget(connection: Connection, age_s: float) -> int:
    """Delete messages that ended longer ago than ``age_s``; return how many."""
    return connection.execute(deliveries.delete().where(deliveries.c.finished < now(age_s))).rowcount


def _set(connection: Connection, delivery_id: str, **values: Any) -> None:
    connection.execute(deliveries.update().where(deliveries.c.id == delivery_id).values(**values))
