"""What happened to a study, in order: the source of the event stream.

Identifiers grow in the order of commits, so a reader that continues after the last one it saw misses nothing. On
PostgreSQL this needs a lock from the first event of a transaction to its end: append events last.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.log_lines import tell
from service.store.db.columns import now
from service.store.db.schema import events

_LOCK = 0x65766E74


_LOG = logging.getLogger("bitbudget.studies")
TOLD = frozenset({"state", "from", "to", "phase", "outcome", "stopped", "no", "verdict", "cost"})
"""Parts of an event that its line in the log has: no texts of users."""
OFTEN = frozenset({"progress"})


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event.

    Attributes:
        id: Monotone over the whole database.
        kind: ``state``, ``progress``, ``trial``, ...
        data: JSON value.
    """

    id: int
    study_id: str
    tenant_id: str
    kind: str
    data: Mapping[str, Any]
    created: datetime


def append(connection: Connection, *, study_id: str, tenant_id: str, kind: str, data: Mapping[str, Any]) -> int:
    """Append an event and return its identifier."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    values = {"study_id": study_id, "tenant_id": tenant_id, "kind": kind, "data": dict(data)}
    _note_when_committed(connection, study_id, tenant_id, kind, data)
    return int(connection.execute(events.insert().values(**values).returning(events.c.id)).scalar_one())


def _note_when_committed(
    connection: Connection, study_id: str, tenant_id: str, kind: str, data: Mapping[str, Any]
) -> None:
    """Write the event's line to the log once others can see the event."""
    plain = {key: one for key, one in data.items() if key in TOLD and isinstance(one, str | int | float)}
    level = logging.DEBUG if kind in OFTEN else logging.INFO

    def note(_: Connection) -> None:
        tell(_LOG, level, "study", study=study_id, tenant=tenant_id, kind=kind, **plain)

    sa.event.listen(connection, "commit", note)  # a connection lives as long as its transaction


def after(
    connection: Connection, *, tenant_id: str, study_id: str | None = None, after_id: int = 0, limit: int = 200
) -> tuple[Event, ...]:
    """Return the next events of a study, or of all studies of a tenant, behind ``after_id``."""
    query = sa.select(events).where(events.c.tenant_id == tenant_id, events.c.id > min(after_id, 2**63 - 1))
    if study_id is not None:
        query = query.where(events.c.study_id == study_id)
    rows = connection.execute(query.order_by(events.c.id).limit(limit)).mappings()
    return tuple(Event(**row) for row in rows)


def last_id(connection: Connection, *, tenant_id: str, study_id: str | None = None) -> int:
    """Identifier of the newest event of a study or tenant, 0 if there is none."""
    query = sa.select(sa.func.max(events.c.id)).where(events.c.tenant_id == tenant_id)
    if study_id is not None:
        query = query.where(events.c.study_id == study_id)
    return int(connection.scalar(query) or 0)


def forget_old(connection: Connection, age_s: float) -> int:
    """Delete events older than ``age_s``; return how many."""
    return connection.execute(events.delete().where(events.c.created < now(age_s))).rowcount
