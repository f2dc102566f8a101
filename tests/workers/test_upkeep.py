"""What a worker does besides computing: what is past its time goes."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.store import uploads
from service.store.db.schema import blobs as blob_table
from tests.service.store.db.rows import set_back
from tests.workers.installation import Installation

DAY = 86400.0


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_blob_that_nothing_needs_goes_in_time(service: Installation) -> None:
    digest = uploads.put(service.database, service.store, service.tenant, b"not needed")
    with service.database.writing() as connection:
        set_back(connection, blob_table, "last_used", 2 * DAY)
    service.start(upkeep_s=0.5)

    def state() -> str | None:
        with service.database.reading() as connection:
            return connection.scalar(blob_table.select().with_only_columns(blob_table.c.state))

    until(lambda: state() == "condemned")
    with service.database.writing() as connection:
        set_back(connection, blob_table, "condemned", 2 * DAY)
    until(lambda: state() is None)
    assert digest not in dict(service.store.digests())
