"""Whether an error means that the database is away for now, so that the same work may succeed later."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.store.db.errors import DatabaseBusyError

AWAY = (OperationalError, InterfaceError, PoolTimeoutError, DatabaseBusyError)
_DISK_FULL = "53100"  # PostgreSQL's code
MAY_BE_AWAY = (DBAPIError, PoolTimeoutError, DatabaseBusyError)
"""What ``is_away`` has to be asked about."""


def is_full(error: Exception) -> bool:
    """Whether the database's disk takes no more; reading goes on."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", None) == _DISK_FULL or "database or disk is full" in str(cause)


def is_away(error: Exception) -> bool:
    """Whether nobody made a mistake: no connection, a lost one, a lock held for too long."""
    return isinstance(error, AWAY) or (isinstance(error, DBAPIError) and error.connection_invalidated)
