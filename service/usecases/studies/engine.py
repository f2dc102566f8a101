"""What the service asks of whatever runs studies. The rows are the truth; an engine is told after they changed."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.engine import Connection

from service.store.db.studies import Study


class Engine(Protocol):
    """Runs studies. Every call is part of the caller's writing transaction and must be safe to repeat."""

    def submit(self, connection: Connection, study: Study) -> None:
        """Put a queued study in line; it is in line exactly if the transaction commits."""
        ...

    def cancel(self, connection: Connection, study: Study) -> None:
        """End what runs of a study; where something does, its worker makes the study ``cancelled``."""
        ...

    def pause(self, connection: Connection, study: Study) -> None:
        """End what runs of a study without losing finished items."""
        ...

    def resume(self, connection: Connection, study: Study) -> None:
        """Put a study that was paused in line again."""
        ...

    def prioritise(self, connection: Connection, study: Study) -> None:
        """Take a changed priority into account as far as the study still waits."""
        ...
