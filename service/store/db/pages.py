"""Lists in pages: a page starts behind the last row of the one before, so that inserts shift nothing.

A cursor is that row's sort key, encoded. It opens nothing: who may see what is decided by the query alone.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.sql.elements import ColumnElement

from service.store.db.errors import BadCursorError

MAX_PAGE = 200
T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some rows of a list.

    Attributes:
        rows: In order.
        next: Cursor of the rest; None if there is nothing more.
    """

    rows: tuple[T, ...]
    next: str | None


@dataclass(frozen=True)
class Order:
    """How a list is sorted.

    Attributes:
        name: Distinguishes it from other orders of the same list: a cursor fits one order only.
        columns: The sort key; unique, never NULL.
        types: Python types of the key's values.
        descending: Largest first.
    """

    name: str
    columns: tuple[ColumnElement[Any], ...]
    types: tuple[type, ...]
    descending: bool = False


def read_page(
    connection: Connection,
    query: sa.Select[Any],
    order: Order,
    make: Callable[[RowMapping], T],
    *,
    cursor: str | None,
    limit: int,
) -> Page[T]:
    """Read the page of ``query`` behind ``cursor``.

    Args:
        connection: Open transaction.
        query: Selects and filters, unsorted; its columns include the sort key.
        order: How to sort.
        make: A row's value.
        cursor: ``next`` of the page before; None = from the start.
        limit: Most rows; at least 1, cut to ``MAX_PAGE``.

    Raises:
        BadCursorError: If the cursor is not one of this list in this order.
    """
    limit = max(1, min(limit, MAX_PAGE))
    key = sa.tuple_(*order.columns)
    if cursor is not None:
        values = decode(cursor, order)
        behind = sa.tuple_(*(sa.literal(v, c.type) for v, c in zip(values, order.columns, strict=True)))
        query = query.where(key < behind if order.descending else key > behind)
    sorting = [column.desc() if order.descending else column.asc() for column in order.columns]
    rows = connection.execute(query.order_by(*sorting).limit(limit + 1)).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    following = encode(order, [last[column.key or ""] for column in order.columns]) if last is not None else None
    return Page(tuple(make(row) for row in rows[:limit]), following)


def encode(order: Order, values: Sequence[Any]) -> str:
    """Return the cursor that stands behind the row with these sort values."""
    text = json.dumps([order.name, *values], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, order: Order) -> tuple[Any, ...]:
    """Return the sort values of a cursor.

    Raises:
        BadCursorError: If it is not one of this order.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        found = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or found[:1] != [order.name] or not _fits(found[1:], order.types):
        raise BadCursorError("The cursor is not one of this list. Start again without a cursor.")
    return tuple(found[1:])


def _fits(values: Sequence[Any], types: Sequence[type]) -> bool:
    return len(values) == len(types) and all(
        type(value) is kind and _can_be_stored(value) for value, kind in zip(values, types, strict=True)
    )


def _can_be_stored(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 1024 and "\0" not in value and value.isprintable()
    return -(2**31) <= value < 2**31 if isinstance(value, int) else abs(value) < float("inf")
