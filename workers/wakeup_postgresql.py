"""Wake-ups between machines, over NOTIFY and LISTEN of the PostgreSQL database they share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.engine import Database

CHANNEL = "bitbudget"
PAUSE_S = 1.0
"""Before a lost connection is opened again, and between two looks whether to end."""
_KEEP_ALIVE: Any = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "connect_timeout": 10}


def notify(connection: Connection, name: str, *, own: str) -> None:
    """Notify every process that listens, but ``own``, once the transaction commits."""
    connection.execute(sa.select(sa.func.pg_notify(CHANNEL, f"{own} {name}")))


class PostgresqlTransport:
    """One connection that listens, besides those of ``database``.

    Args:
        database: PostgreSQL.
        own: No other process, dead or alive, has this name.
    """

    def __init__(self, database: Database, own: str) -> None:
        self._database = database
        self._own = own
        self._closed = False

    def tell(self, name: str) -> None:
        """Notify every process that listens."""
        with self._database.writing() as connection:
            notify(connection, name, own=self._own)

    def listen(self, heard: Callable[[str], None]) -> None:
        """Listen until ``close``, however often the connection breaks."""
        url = self._database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while not self._closed:
            try:
                self._listen(url, heard)
            except psycopg.Error:
                time.sleep(PAUSE_S)

    def close(self) -> None:
        """End ``listen`` within ``PAUSE_S``."""
        self._closed = True

    def _listen(self, url: str, heard: Callable[[str], None]) -> None:
        with psycopg.connect(url, autocommit=True, application_name="bitbudget-wakeup", **_KEEP_ALIVE) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            while not self._closed:
                for note in connection.notifies(timeout=PAUSE_S):
                    sender, _, name = note.payload.partition(" ")
                    if sender != self._own:
                        heard(name)
