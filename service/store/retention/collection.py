"""Deleting blobs that nothing needs, in two steps with a grace time before each.

    unneeded and unused for ``grace_s``  -> condemned        (any use or reference makes it live again)
    condemned for ``grace_s``            -> deleting -> gone  (a new upload brings it back)

``deleting`` is committed before the file goes: after a crash in between, no reference can reach the missing file.
"""

from __future__ import annotations

from dataclasses import dataclass

from service.store.blobs.store import BlobStore
from service.store.db import blobs
from service.store.db.engine import Database

STALE_S = 86400.0
"""Age at which an unfinished upload is taken for cut off."""


@dataclass(frozen=True)
class Collected:
    """What a cycle did.

    Attributes:
        condemned: Blobs that will go next time.
        deleted: Blobs that are gone.
        freed_bytes: Their size.
        stale: Cut-off uploads removed.
    """

    condemned: int
    deleted: int
    freed_bytes: int
    stale: int


def collect(database: Database, store: BlobStore, *, grace_s: float, limit: int = 1000) -> Collected:
    """Run one cycle; safe next to uploads, submissions and other cycles.

    Args:
        database: The rows.
        store: The files.
        grace_s: How long a blob that nothing needs stays, before each step.
        limit: Most blobs deleted in this cycle.
    """
    with database.reading() as connection:
        due = blobs.condemned(connection, grace_s, limit)
    gone = [size for digest in due if (size := _delete(database, store, digest)) is not None]
    with database.writing() as connection:
        condemned = blobs.condemn(connection, grace_s)
    return Collected(condemned, len(gone), sum(gone), store.discard_stale(STALE_S))


def finish_deletion(database: Database, store: BlobStore, digest: str) -> int | None:
    """Delete the file and the row of a blob that is being deleted; return its size.

    None if it was uploaded again, or another cycle was faster. After a crash in between, the next cycle does it again.
    """
    with database.writing() as connection:
        size = blobs.lock_deleting(connection, digest)
        if size is not None:
            store.delete(digest)
            blobs.forget(connection, digest)
    return size


def _delete(database: Database, store: BlobStore, digest: str) -> int | None:
    with database.writing() as connection:
        is_begun = blobs.begin_deletion(connection, digest)
    return finish_deletion(database, store, digest) if is_begun else None
