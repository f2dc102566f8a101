"""A finished evaluation must not be lost because the database is away for a minute: wait until it is back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from service.db.engine import Database
from service.db.errors import DatabaseBusyError

PAUSE_S = 1.0
_AWAY = (OperationalError, InterfaceError, PoolTimeoutError, DatabaseBusyError)
_log = logging.getLogger(__name__)
T = TypeVar("T")


def read(database: Database, work: Callable[[Connection], T]) -> T:
    """Return what ``work`` reads in one transaction, however long the database is away."""
    return insist(lambda: _within(database.reading, work))


def write(database: Database, work: Callable[[Connection], T]) -> T:
    """Do ``work`` in one writing transaction, again from its start whenever the database went away."""
    return insist(lambda: _within(database.writing, work))


def insist(work: Callable[[], T]) -> T:
    """Do ``work``, again from its start as long as the database is away."""
    told = False
    while True:
        try:
            return work()
        except DBAPIError as error:
            if not (isinstance(error, _AWAY) or error.connection_invalidated):
                raise
        except _AWAY:
            pass
        if not told:
            _log.warning("the database is away; waiting for it")
            told = True
        time.sleep(PAUSE_S)


def _within(transaction: Callable[[], AbstractContextManager[Connection]], work: Callable[[Connection], T]) -> T:
    with transaction() as connection:
        return work(connection)
