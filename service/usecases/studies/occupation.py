"""How busy the server is: what of a tenant waits and runs, who computes, how much disk is left."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Connection

from service.store.db import studies, workers


@dataclass(frozen=True, kw_only=True)
class Occupation:
    """The server as one tenant may see it.

    Attributes:
        studies: State to number, of the tenant.
        waiting_s: How long the tenant's oldest queued study has waited; 0 if none does.
        workers: Worker processes that live.
        slots: Evaluations that they run at once.
        disk_free_bytes: Left where blobs are kept.
        disk_total_bytes: Size of that file system.
    """

    studies: Mapping[str, int]
    waiting_s: float
    workers: int
    slots: int
    disk_free_bytes: int
    disk_total_bytes: int


def occupation(connection: Connection, tenant_id: str, *, storage: Path, dead_s: float) -> Occupation:
    """Return how busy the server is.

    Args:
        connection: Open transaction.
        tenant_id: Whose studies count.
        storage: Where blobs are kept.
        dead_s: Silence after which a worker counts as dead.
    """
    alive = workers.alive(connection, dead_s)
    living = [one for one in workers.listing(connection) if one.executor_id in alive]
    disk = shutil.disk_usage(storage)
    return Occupation(
        studies=studies.count_by_state(connection, tenant_id),
        waiting_s=studies.queue_age_s(connection, tenant_id),
        workers=len(living),
        slots=sum(one.slots for one in living),
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
    )
