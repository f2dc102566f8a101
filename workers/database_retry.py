"""Retries of transactions while the database is away: no finished evaluation is lost for an outage of a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy.engine import Connection

from service.store.db.away import MAY_BE_AWAY, is_away
from service.store.db.engine import Database

PAUSE_S = 1.0
_log = logging.getLogger(__name__)
T = TypeVar("T")


def read(database: Database, work: Callable[[Connection], T]) -> T:
    """Return what ``work`` reads in one transaction, however long the database is away."""
    return retry(lambda: _within(database.reading, work))


def write(database: Database, work: Callable[[Connection], T]) -> T:
    """Do ``work`` in one writing transaction, again from its start whenever the database went away."""
    return retry(lambda: _within(database.writing, work))


def retry(work: Callable[[], T]) -> T:
    """Do ``work``, again from its start as long as the database is away."""
    told = False
    while True:
        try:
            return work()
        except MAY_BE_AWAY as error:
            if not is_away(error):
                raise
        if not told:
            _log.warning("the database is away; waiting for it")
            told = True
        time.sleep(PAUSE_S)


def _within(transaction: Callable[[], AbstractContextManager[Connection]], work: Callable[[Connection], T]) -> T:
    with transaction() as connection:
        return work(connection)
