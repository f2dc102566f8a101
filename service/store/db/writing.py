"""Statements that SQLAlchemy spells per database although both understand them alike: upsert, and row locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection


def insert_missing(connection: Connection, table: sa.Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless its key is taken; return whether it was inserted.

    On PostgreSQL it waits for another transaction that inserts the same key, then answers for what that one did.
    """
    statement = _insert(connection, table).values(dict(values)).on_conflict_do_nothing()
    first, *_ = table.primary_key
    return connection.execute(statement.returning(first)).first() is not None


def upsert(
    connection: Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]], *, keep: Iterable[str] = ()
) -> None:
    """Insert rows, or replace those whose primary key is there, except the columns ``keep``.

    All rows give the same columns. A row is locked until the transaction ends, also where nothing changes.
    """
    values = [dict(row) for row in rows]
    if not values:
        return
    statement = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    given = [name for name in values[0] if name not in {*keys, *keep}] or keys[:1]
    changes = {name: statement.excluded[name] for name in given}
    complete = statement.on_conflict_do_update(index_elements=keys, set_=changes)
    if len(values) == 1:
        connection.execute(complete.values(values[0]))  # its values may be SQL expressions
    else:
        connection.execute(complete, values)


def _insert(connection: Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
