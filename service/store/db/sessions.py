"""Logins of the dashboard: a cookie's token stands for a key until it expires or either is revoked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.columns import now
from service.store.db.ids import new_id
from service.store.db.schema import keys, sessions

_is_live = sa.and_(
    sessions.c.revoked.is_(None),
    sessions.c.expires > now(),
    keys.c.revoked.is_(None),
    sa.or_(keys.c.expires.is_(None), keys.c.expires > now()),
)


@dataclass(frozen=True, kw_only=True)
class Session:
    """A login that is valid now.

    Attributes:
        scopes: Of the key it stands for.
    """

    id: str
    tenant_id: str
    key_id: str
    created: datetime
    expires: datetime
    scopes: tuple[str, ...]


def add(connection: Connection, *, tenant_id: str, key_id: str, token_sha256: str, hours: float) -> Session:
    """Begin a login of ``hours``."""
    values = {"id": new_id(), "tenant_id": tenant_id, "key_id": key_id, "token_sha256": token_sha256}
    connection.execute(sessions.insert().values(**values, expires=now(-3600.0 * hours)))
    found = find(connection, token_sha256)
    if found is None:
        raise ValueError("The key of this login is no longer valid.")
    return found


def find(connection: Connection, token_sha256: str) -> Session | None:
    """Return the login of a token, if it and its key are valid now."""
    columns = (sessions.c.id, sessions.c.tenant_id, sessions.c.key_id, sessions.c.created, sessions.c.expires)
    query = sa.select(*columns, keys.c.scopes).join(keys, keys.c.id == sessions.c.key_id)
    row = connection.execute(query.where(sessions.c.token_sha256 == token_sha256, _is_live)).mappings().one_or_none()
    return None if row is None else Session(**{**row, "scopes": tuple(row["scopes"])})


def revoke(connection: Connection, token_sha256: str) -> bool:
    """End a login; False if it had ended."""
    mine = sa.and_(sessions.c.token_sha256 == token_sha256, sessions.c.revoked.is_(None))
    return connection.execute(sessions.update().where(mine).values(revoked=now())).rowcount == 1


def forget_ended(connection: Connection) -> int:
    """Delete logins that cannot be used any more."""
    ended = sa.or_(sessions.c.revoked.is_not(None), sessions.c.expires <= now())
    return connection.execute(sessions.delete().where(ended)).rowcount
