"""API keys: the prefix that may be shown, the SHA-256 of the secret, what the key may do and until when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.columns import now
from service.store.db.ids import new_id
from service.store.db.pages import Order, Page, read_page
from service.store.db.schema import SCOPES, keys

TOUCH_S = 60.0
"""``last_used`` is written at most as often: a request must not cost a write."""

_is_live = sa.and_(keys.c.revoked.is_(None), sa.or_(keys.c.expires.is_(None), keys.c.expires > now()))
_columns = (*keys.c, sa.case((_is_live, sa.true()), else_=sa.false()).label("is_live"))
_by_id = Order("keys", (keys.c.id,), (str,), descending=True)


@dataclass(frozen=True, kw_only=True)
class Key:
    """One API key; ``is_live`` = neither revoked nor expired by the database's clock."""

    id: str
    tenant_id: str
    prefix: str
    secret_sha256: str
    name: str
    scopes: tuple[str, ...]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None
    is_live: bool


def add(
    connection: Connection,
    *,
    tenant_id: str,
    prefix: str,
    secret_sha256: str,
    name: str,
    scopes: Collection[str],
    expires: datetime | None = None,
) -> Key:
    """Store a new key.

    Raises:
        ValueError: If a scope is unknown or there is none.
    """
    if not scopes or not set(scopes) <= set(SCOPES):
        raise ValueError(f"Scopes must be some of {', '.join(SCOPES)}, got {sorted(scopes)}.")
    values = {"id": new_id(), "tenant_id": tenant_id, "prefix": prefix, "secret_sha256": secret_sha256, "name": name}
    ordered = [scope for scope in SCOPES if scope in scopes]
    connection.execute(keys.insert().values(**values, scopes=ordered, expires=expires))
    found = find(connection, prefix)
    if found is None:
        raise RuntimeError("A key that was just stored is not there.")
    return found


def find(connection: Connection, prefix: str) -> Key | None:
    """Return the key with this prefix, live or not."""
    return _one(connection, keys.c.prefix == prefix)


def get(connection: Connection, tenant_id: str, key_id: str) -> Key | None:
    """Return a key of the tenant."""
    return _one(connection, sa.and_(keys.c.id == key_id, keys.c.tenant_id == tenant_id))


def page(
    connection: Connection, tenant_id: str | None = None, *, cursor: str | None = None, limit: int = 50
) -> Page[Key]:
    """Return keys of the tenant (None: of all), newest first."""
    query = sa.select(*_columns)
    if tenant_id is not None:
        query = query.where(keys.c.tenant_id == tenant_id)
    return read_page(connection, query, _by_id, _key, cursor=cursor, limit=limit)


def revoke(connection: Connection, tenant_id: str, key_id: str) -> bool:
    """End a key at once; False if there is none that could be ended."""
    mine = sa.and_(keys.c.id == key_id, keys.c.tenant_id == tenant_id, keys.c.revoked.is_(None))
    return connection.execute(keys.update().where(mine).values(revoked=now())).rowcount == 1


def is_due(connection: Connection, key_id: str) -> bool:
    """Whether ``touch`` would write; read first, so that most requests take no write lock."""
    stale = sa.or_(keys.c.last_used.is_(None), keys.c.last_used < now(TOUCH_S))
    return connection.execute(sa.select(keys.c.id).where(keys.c.id == key_id, stale)).first() is not None


def touch(connection: Connection, key_id: str) -> None:
    """Note that the key was used."""
    connection.execute(keys.update().where(keys.c.id == key_id).values(last_used=now()))


def count_live(connection: Connection, scope: str | None = None) -> int:
    """Number of live keys (of a scope), over all tenants: none = first start."""
    rows = connection.execute(sa.select(keys.c.scopes).where(_is_live))
    return sum(scope is None or scope in row.scopes for row in rows)


def _one(connection: Connection, condition: sa.ColumnElement[bool]) -> Key | None:
    row = connection.execute(sa.select(*_columns).where(condition)).mappings().one_or_none()
    return None if row is None else _key(row)


def _key(row: Any) -> Key:
    return Key(**{**row, "scopes": tuple(row["scopes"]), "is_live": bool(row["is_live"])})
