"""Telling webhooks what happened: a message for each that wants it, in the transaction of what it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db import deliveries
from service.store.db.schema import webhooks

_TOLD = ("id", "name", "state", "outcome", "stopped", "target", "version")


def announce(connection: Connection, *, tenant_id: str, kind: str, data: Mapping[str, Any]) -> int:
    """Queue a message for every active webhook of the tenant that wants ``kind``; return how many."""
    mine = sa.and_(webhooks.c.tenant_id == tenant_id, webhooks.c.active)
    query = sa.select(webhooks.c.id, webhooks.c.kinds).where(mine).order_by(webhooks.c.id)
    # Locked against deletion only: a webhook that goes away meanwhile must not break what is told of.
    rows = connection.execute(query.with_for_update(read=True, key_share=True)).all()
    wanting = [row.id for row in rows if not row.kinds or kind in row.kinds]
    for webhook_id in wanting:
        deliveries.add(connection, webhook_id=webhook_id, tenant_id=tenant_id, kind=kind, payload=data)
    return len(wanting)


def announce_study(connection: Connection, study: Mapping[str, Any], what: str) -> None:
    """Tell that a study (its row) is in state ``what`` now, or was ``deleted``."""
    error = study["error"] or {}
    data = {**{name: study[name] for name in _TOLD}, "error": error.get("code")}
    announce(connection, tenant_id=study["tenant_id"], kind=f"study.{what}", data=data)
