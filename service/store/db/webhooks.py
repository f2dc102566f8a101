"""Webhooks: where a tenant wants to hear of its studies, and the secrets its messages are signed with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.ids import new_id
from service.store.db.schema import webhooks


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One address.

    Attributes:
        secrets: Newest first; two while the receiver changes over.
        kinds: Events it wants; empty = all.
    """

    id: str
    tenant_id: str
    url: str
    secrets: tuple[str, ...]
    kinds: tuple[str, ...]
    active: bool
    created: datetime

    def __repr__(self) -> str:
        """Without the secrets: this may end in a log."""
        return f"Webhook(id={self.id!r}, url={self.url!r})"


def add(
    connection: Connection, *, tenant_id: str, url: str, secrets: Sequence[str], kinds: Collection[str] = ()
) -> Webhook:
    """Store a new address."""
    values = {"id": new_id(), "tenant_id": tenant_id, "url": url, "secrets": list(secrets), "kinds": sorted(kinds)}
    row = connection.execute(webhooks.insert().values(**values, active=True).returning(webhooks)).mappings().one()
    return _webhook(row)


def get(connection: Connection, tenant_id: str, webhook_id: str) -> Webhook | None:
    """Return one of the tenant's."""
    mine = sa.and_(webhooks.c.id == webhook_id, webhooks.c.tenant_id == tenant_id)
    row = connection.execute(sa.select(webhooks).where(mine)).mappings().one_or_none()
    return None if row is None else _webhook(row)


def listing(connection: Connection, tenant_id: str, *, kind: str | None = None) -> tuple[Webhook, ...]:
    """Return the tenant's by age; with ``kind`` only active ones that want such events."""
    query = sa.select(webhooks).where(webhooks.c.tenant_id == tenant_id).order_by(webhooks.c.id)
    found = map(_webhook, connection.execute(query).mappings())
    return tuple(one for one in found if kind is None or (one.active and (not one.kinds or kind in one.kinds)))


def update(connection: Connection, tenant_id: str, webhook_id: str, **changes: Any) -> Webhook | None:
    """Set ``url``, ``secrets``, ``kinds`` or ``active``; None if there is no such address.

    Raises:
        ValueError: If another column is named.
    """
    if unknown := sorted(set(changes) - {"url", "secrets", "kinds", "active"}):
        raise ValueError(f"Columns {unknown} of a webhook cannot be set.")
    values = {name: list(value) if name in ("secrets", "kinds") else value for name, value in changes.items()}
    mine = sa.and_(webhooks.c.id == webhook_id, webhooks.c.tenant_id == tenant_id)
    row = (
        connection.execute(webhooks.update().where(mine).values(**values).returning(webhooks)).mappings().one_or_none()
    )
    return None if row is None else _webhook(row)


def delete(connection: Connection, tenant_id: str, webhook_id: str) -> bool:
    """Forget an address and its deliveries; False if there is none."""
    mine = sa.and_(webhooks.c.id == webhook_id, webhooks.c.tenant_id == tenant_id)
    return connection.execute(webhooks.delete().where(mine)).rowcount == 1


def _webhook(row: Any) -> Webhook:
    return Webhook(**{**row, "secrets": tuple(row["secrets"]), "kinds": tuple(row["kinds"])})
