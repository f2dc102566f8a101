"""Column types and expressions that mean the same on SQLite and PostgreSQL.

Times are stamped by the clock of the database: machines disagree about the time, rows must not.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A moment, always aware and in UTC; SQLite keeps it as text that sorts by time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Bring an aware value to UTC.

        Raises:
            ValueError: If ``value`` has no time zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A time without zone cannot be stored: {value!r}.")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the stored moment back in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class now(FunctionElement[datetime]):  # noqa: N801  # reads like the SQL function it is
    """The moment by the database's clock, ``seconds`` ago (negative = ahead).

    It moves on inside a transaction: a long one must not stamp its last row with its first moment.
    """

    type = UtcTime()
    inherit_cache = True

    def __init__(self, seconds_ago: float = 0.0) -> None:
        super().__init__(sa.literal(float(-seconds_ago), sa.Float()))


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: Any, **kw: Any) -> str:
    # julianday: 'unixepoch' with 'subsec' is NULL before SQLite 3.42. 'localtime' is never involved: 'now' is UTC.
    shift = compiler.process(element.clauses, **kw)
    return f"(strftime('%Y-%m-%d %H:%M:%f', julianday('now') + ({shift}) / 86400.0) || '000')"


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: Any, **kw: Any) -> str:
    shift = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + ({shift}) * interval '1 second')"


class seconds_since(FunctionElement[float]):  # noqa: N801
    """Seconds from a time column to now, by the database's clock."""

    type = sa.Float()
    inherit_cache = True


@compiles(seconds_since, "sqlite")
def _since_sqlite(element: seconds_since, compiler: Any, **kw: Any) -> str:
    return f"((julianday('now') - julianday({compiler.process(element.clauses, **kw)})) * 86400.0)"


@compiles(seconds_since, "postgresql")
def _since_postgresql(element: seconds_since, compiler: Any, **kw: Any) -> str:
    moment = compiler.process(element.clauses, **kw)
    return f"CAST(extract(epoch from (clock_timestamp() - {moment})) AS double precision)"
