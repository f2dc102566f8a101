"""What can go wrong with the database, by who must act.

DatabaseError
  DatabaseUrlError       the setting: not SQLite or PostgreSQL, a network file system
  WrongSchemaError       the administrator: `bitbudget migrate`, or another version of the program
  DatabaseBusyError      nobody: try again
  BadCursorError         the caller: the cursor of a list is not one that was given out
  MissingBlobError       the caller: upload the blob (again)
"""

from __future__ import annotations

from collections.abc import Sequence


class DatabaseError(Exception):
    """Base of what this package raises on purpose."""


class DatabaseUrlError(DatabaseError):
    """The database URL cannot be used."""


class WrongSchemaError(DatabaseError):
    """The tables are not those this program works with."""


class DatabaseBusyError(DatabaseError):
    """Another process held the write lock for too long."""


class BadCursorError(DatabaseError):
    """A list was asked to continue from a cursor that this list never gave out."""


class MissingBlobError(DatabaseError):
    """A row would refer to blobs that are not there, or not the tenant's.

    Attributes:
        digests: The missing ones.
    """

    def __init__(self, digests: Sequence[str]) -> None:
        self.digests = tuple(digests)
        names = ", ".join(f"sha256:{digest}" for digest in self.digests)
        super().__init__(f"There is no blob {names}. Upload it with PUT /v1/blobs/<sha256> first.")
