"""Keeping a blob: its row and its file appear together.

The row is locked while the file gets its name, so that no deletion of the same blob comes in between; a crash before
the commit leaves a file without a row, which ``service.store.inspection`` finds.
"""

from __future__ import annotations

from collections.abc import Iterable

from service.store.blobs.store import BlobStore, Staged
from service.store.db import blobs
from service.store.db.engine import Database


def keep(database: Database, store: BlobStore, tenant_id: str, staged: Staged) -> str:
    """Make staged bytes a blob of the tenant and return its digest; nothing is left staged, whatever happens.

    Raises:
        StorageFullError: If the disk takes no more.
    """
    try:
        with database.writing() as connection:
            blobs.put(connection, tenant_id, staged.digest, staged.size)
            store.keep(staged)
    finally:
        store.discard(staged)
    return staged.digest


def put(database: Database, store: BlobStore, tenant_id: str, data: bytes | Iterable[bytes]) -> str:
    """Make bytes of our own a blob of the tenant and return its digest.

    Raises:
        StorageFullError: If the disk takes no more.
    """
    return keep(database, store, tenant_id, store.stage([data] if isinstance(data, bytes) else data))
