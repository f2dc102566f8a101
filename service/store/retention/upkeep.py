"""Everything that time does to what is stored, in one round: forget, condemn, delete, look at quotas.

    data sets, models   30 days after their last use, unless pinned        (``dataset_days``)
    arrays of studies   14 days after the end of the study                 (``intermediate_days``)
    studies             never, or as many days after their end as is set   (``study_days``)
    blobs               when nothing needs them: 24 hours, then 24 more    (``blob_grace_hours``)

Any number of processes may do it at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.store.blobs.store import BlobStore
from service.store.db import tenants
from service.store.db.engine import Database
from service.store.retention.collection import collect
from service.store.retention.expiry import sweep
from service.store.retention.quota import watch_quota
from service.store.settings import Settings

HOUR_S = 3600.0


def keep_up(database: Database, store: BlobStore, settings: Settings) -> Mapping[str, int]:
    """Do one round; return how many of each kind were forgotten or deleted."""
    counts = dict(sweep(database, settings))
    collected = collect(database, store, grace_s=settings.blob_grace_hours * HOUR_S)
    counts |= {"condemned": collected.condemned, "blobs": collected.deleted, "bytes": collected.freed_bytes}
    counts |= {"uploads": collected.stale, "warnings": _watch(database, settings.tenant_quota_bytes)}
    return counts


def _watch(database: Database, quota: int | None) -> int:
    if quota is None:
        return 0
    with database.reading() as connection:
        everybody = tenants.listing(connection)
    count = 0
    for tenant in everybody:
        with database.writing() as connection:
            count += watch_quota(connection, tenant.id, quota)
    return count
