"""The engine as the API sees it: it puts studies in line. Everything else workers read from the rows themselves.

A study that is cancelled or paused is a row that says so: whoever computes for it looks twice a second, ends its
evaluator and stops. So nothing has to be told, and nothing is lost if the API dies right after its transaction.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from service.store.db import turns, workers
from service.store.db.studies import Study
from service.store.db.tenants import defaults_of
from service.store.settings import Settings
from workers.durable import SEARCH, Client
from workers.wakeup import wake_from


class DbosEngine:
    """``service.usecases.studies.engine.Engine`` on DBOS."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = Client(settings)
        self._defaults = defaults_of(settings)

    def submit(self, connection: Connection, study: Study) -> None:
        """Let a queued study wait for its tenant's turn, and give the workers what is next."""
        self.dispatch(connection)

    def dispatch(self, connection: Connection) -> int:
        """Give the workers studies in fair order as long as they have room; return how many."""
        capacity = workers.capacity(connection, self._settings.dead_s)
        count = 0
        while capacity and (study := turns.take_next(connection, self._defaults, capacity)) is not None:
            self.give(connection, study)
            count += 1
        return count

    def give(self, connection: Connection, study: Study) -> None:
        """Give a study to the workers, whoever's turn it is."""
        timeout = study.timeout_s or self._settings.study_wall_s
        self._client.enqueue(connection, study.id, study.version, priority=study.priority, timeout_s=timeout)
        wake_from(connection, self._settings, SEARCH)

    def cancel(self, connection: Connection, study: Study) -> None:
        """Nothing: the row says it."""

    def pause(self, connection: Connection, study: Study) -> None:
        """Nothing: the row says it."""

    def resume(self, connection: Connection, study: Study) -> None:
        """Put the study in line again; it goes on from its stored results."""
        self.submit(connection, study)

    def prioritise(self, connection: Connection, study: Study) -> None:
        """Give a study to the workers again that has not begun there; one that waits for its turn is in its row."""
        if study.state == "queued" and study.dispatched:
            self.give(connection, study)

    def close(self) -> None:
        """Give its connections back."""
        self._client.close()
