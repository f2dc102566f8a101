"""What is forgotten with time: old data sets and models, arrays of ended studies, logins, answers, events, messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from service.store.db import blobs, deliveries, idempotency, items, sessions, studies, turns, workers
from service.store.db.collections import DATASETS, MODELS
from service.store.db.engine import Database
from service.store.retention.tombstones import bury
from service.store.settings import Settings

DAY_S = 86400.0
WORKER_DAYS = 1.0
DELIVERY_DAYS = 30.0
USE_DAYS = 30.0


def sweep(database: Database, settings: Settings) -> Mapping[str, int]:
    """Forget what is past its time; return how many rows of each kind.

    Blobs that are needed by nothing afterwards are left to ``service.store.retention.collection``.
    """
    counts: dict[str, int] = {}
    unused = settings.dataset_days * DAY_S
    with database.writing() as connection:
        counts["models"] = MODELS.delete_unused(connection, unused)
        counts["datasets"] = DATASETS.delete_unused(connection, unused)
    with database.writing() as connection:
        counts["sessions"] = sessions.forget_ended(connection)
        counts["answers"] = idempotency.forget(connection, settings.idempotency_hours * 3600.0)
        counts["workers"] = workers.forget(connection, WORKER_DAYS * DAY_S)
        counts["days"] = turns.forget_days(
            connection, (datetime.now(UTC) - timedelta(days=USE_DAYS)).date().isoformat()
        )
        counts["messages"] = deliveries.forget(connection, DELIVERY_DAYS * DAY_S)
    counts["arrays"] = _release_arrays(database, settings.intermediate_days * DAY_S)
    counts["studies"] = 0 if settings.study_days is None else _delete_studies(database, settings.study_days * DAY_S)
    return counts


def _release_arrays(database: Database, age_s: float) -> int:
    """Give up the arrays of studies that ended; their results and artifacts stay."""
    with database.writing() as connection:
        return sum(items.release_blobs(connection, study) for study in blobs.holders_of_ended(connection, age_s))


def _delete_studies(database: Database, age_s: float) -> int:
    """Delete studies that ended, each in a transaction of its own: one may have many rows."""
    count = 0
    with database.reading() as connection:
        found = studies.ended(connection, age_s)
    for study in found:
        with database.writing() as connection:
            count += bury(connection, study, actor="retention")
    return count
