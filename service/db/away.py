"""Whether an error means that the database is away for now, so that the same work may succeed later."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.db.errors import DatabaseBusyError

AWAY = (OperationalError, InterfaceError, PoolTimeoutError, DatabaseBusyError)
MAY_BE_AWAY = (DBAPIError, PoolTimeoutError, DatabaseBusyError)
"""What ``is_away`` has to be asked about."""


def is_away(error: Exception) -> bool:
    """Whether nobody made a mistake: no connection, a lost one, a lock held for too long."""
    return isinstance(error, AWAY) or (isinstance(error, DBAPIError) and error.connection_invalidated)
