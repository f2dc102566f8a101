"""Comparing the blob store with the database: missing, damaged and forgotten files."""

from __future__ import annotations

import time
from dataclasses import dataclass

from service.store.blobs.errors import BlobNotFoundError, CorruptBlobError
from service.store.blobs.store import BlobStore
from service.store.db import blobs
from service.store.db.engine import Database

YOUNG_S = 3600.0
"""A file without a row that is younger may be an upload about to commit."""


@dataclass(frozen=True)
class Inspection:
    """What was found; all empty = everything is in order.

    Attributes:
        missing: Blobs with a row and no file.
        corrupt: Files of another length or content than their name says.
        extra: Files without a row: they are harmless and can be deleted.
    """

    missing: tuple[str, ...]
    corrupt: tuple[str, ...]
    extra: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing that is needed is lost."""
        return not self.missing and not self.corrupt


def inspect(database: Database, store: BlobStore, *, read_all: bool = False) -> Inspection:
    """Compare files with rows; ``read_all`` also hashes every file.

    The files are listed first, so a blob that is stored meanwhile is not taken for one without a row.
    """
    files = dict(store.digests())
    with database.reading() as connection:
        rows = blobs.sizes(connection)
    oldest = time.time() - YOUNG_S
    present = [digest for digest in rows if digest in files or _is_there(store, digest)]
    return Inspection(
        missing=tuple(sorted(set(rows) - set(present))),
        corrupt=tuple(digest for digest in sorted(present) if not _is_sound(store, digest, rows[digest], read_all)),
        extra=tuple(d for d in sorted(set(files) - set(rows)) if files[d].st_mtime < oldest),
    )


def delete_extra(database: Database, store: BlobStore, inspection: Inspection) -> int:
    """Delete files without a row; return how many. The row is looked for again: it may have come since."""
    count = 0
    for digest in inspection.extra:
        with database.writing() as connection:
            if blobs.reserve(connection, digest):
                count += store.delete(digest)
                blobs.forget(connection, digest)
    return count


def _is_there(store: BlobStore, digest: str) -> bool:
    try:
        store.path(digest)
    except BlobNotFoundError:
        return False
    return True


def _is_sound(store: BlobStore, digest: str, size: int, read_all: bool) -> bool:
    try:
        with store.open(digest, size=size):
            pass
        if read_all:
            store.verify(digest)
    except BlobNotFoundError:
        return True  # deleted since
    except CorruptBlobError:
        return False
    return True
