"""What a tenant may store: refused when it is used up, told when four fifths are.

``used`` counts each blob of the tenant once, also what is not needed any more until it is deleted.
"""

from __future__ import annotations

import logging

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db import audit, blobs
from service.store.db.announcements import announce
from service.store.db.columns import now
from service.store.db.schema import audit as audit_table

WARN_AT = 0.8
WARN_AGAIN_S = 86400.0
WARNING, KIND = "quota.warning", "storage.quota"
_log = logging.getLogger(__name__)


def over_quota(connection: Connection, tenant_id: str, quota: int | None, extra: int = 0) -> str | None:
    """Return why ``extra`` more bytes are too many, or None if they are not."""
    if quota is None:
        return None
    used = blobs.usage(connection, tenant_id)
    if used + extra <= quota and used < quota:
        return None
    return (
        f"{used} bytes of {quota} are used and {extra} more are asked for." if extra else f"All {quota} bytes are used."
    )


def room_left(connection: Connection, tenant_id: str, quota: int | None) -> int | None:
    """Bytes that the tenant may still store; None if there is no quota."""
    return None if quota is None else max(0, quota - blobs.usage(connection, tenant_id))


def watch_quota(connection: Connection, tenant_id: str, quota: int | None) -> bool:
    """Tell once a day that a tenant has used four fifths: in the audit, the log and to webhooks.

    Args:
        connection: Writing transaction.
        tenant_id: Whose blobs.
        quota: Bytes it may store; None = as many as there is space for.

    Returns:
        Whether it was told now.
    """
    if quota is None or (used := blobs.usage(connection, tenant_id)) < WARN_AT * quota:
        return False
    recent = sa.and_(
        audit_table.c.tenant_id == tenant_id,
        audit_table.c.action == WARNING,
        audit_table.c.created > now(WARN_AGAIN_S),
    )
    if connection.scalar(sa.select(sa.exists().where(recent))):
        return False
    data = {"used_bytes": used, "quota_bytes": quota}
    audit.add(connection, actor="retention", action=WARNING, tenant_id=tenant_id, data=data)
    announce(connection, tenant_id=tenant_id, kind=KIND, data=data)
    _log.warning("tenant %s uses %d of %d bytes", tenant_id, used, quota)
    return True
