"""The engine as the API sees it: it puts studies in line. Everything else workers read from the rows themselves.

A study that is cancelled or paused is a row that says so: whoever computes for it looks twice a second, ends its
evaluator and stops. So nothing has to be told, and nothing is lost if the API dies right after its transaction.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from service.store.db.studies import Study
from service.store.settings import Settings
from workers.durable import SEARCH, Client
from workers.wakeup import wake_from


class DbosEngine:
    """``service.usecases.studies.engine.Engine`` on DBOS."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = Client(settings)

    def submit(self, connection: Connection, study: Study) -> None:
        """Put a queued study in line; it is in line exactly if the transaction commits."""
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
        """Put a waiting study in line again, with its new priority; the earlier place is given up."""
        if study.state == "queued":
            self.submit(connection, study)

    def close(self) -> None:
        """Give its connections back."""
        self._client.close()
