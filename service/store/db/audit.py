"""Who did what, when: append-only, outlives what it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.pages import Order, Page, read_page
from service.store.db.schema import audit

_newest = Order("audit", (audit.c.id,), (int,), descending=True)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One deed.

    Attributes:
        actor: ``key:<id>``, ``session:<id>``, ``worker:<id>`` or ``command line``.
        action: ``study.submit``, ``key.revoke``, ...
        object: ``study:<id>``, ...
    """

    id: int
    tenant_id: str | None
    actor: str
    action: str
    object: str | None
    request_id: str | None
    data: Mapping[str, Any] | None
    created: datetime


def add(
    connection: Connection,
    *,
    actor: str,
    action: str,
    tenant_id: str | None = None,
    object: str | None = None,  # noqa: A002  # the word of every audit log
    request_id: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write an entry down in the transaction of the deed itself."""
    values = {"tenant_id": tenant_id, "actor": actor, "action": action, "object": object}
    connection.execute(audit.insert().values(**values, request_id=request_id, data=data))


def page(connection: Connection, tenant_id: str | None, *, cursor: str | None = None, limit: int = 50) -> Page[Entry]:
    """Return entries of a tenant (None: all), newest first."""
    query = sa.select(audit)
    if tenant_id is not None:
        query = query.where(audit.c.tenant_id == tenant_id)
    return read_page(connection, query, _newest, lambda row: Entry(**row), cursor=cursor, limit=limit)
