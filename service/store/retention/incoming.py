"""Bytes on their way into the store count against their tenant's quota while they arrive, not when they are there.

Counted per process: each of ``n`` server processes may be receiving what fits beside the bytes stored so far.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from service.store.db.engine import Database
from service.store.retention.quota import over_quota, room_left


class OverQuotaError(Exception):
    """The next bytes would not fit; the message says how many do."""


class Incoming:
    """What this process is receiving, by tenant."""

    def __init__(self, database: Database, quota: int | None) -> None:
        """``quota``: bytes a tenant may store; None counts nothing."""
        self._database = database
        self._quota = quota
        self._bytes: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    @contextmanager
    def receiving(self, tenant_id: str, *, replaces: int = 0) -> Iterator[Parcel]:
        """Count what comes while the block runs: it ends after the bytes have their row, or are gone.

        Args:
            tenant_id: Whose.
            replaces: Bytes of the stored blob that comes again, perhaps because its file was damaged: they always fit.
        """
        parcel = Parcel(self, tenant_id, replaces)
        try:
            yield parcel
        finally:
            with self._lock:
                self._bytes[tenant_id] -= parcel.size
                if not self._bytes[tenant_id]:
                    del self._bytes[tenant_id]

    def add(self, parcel: Parcel, n_bytes: int) -> None:
        """Count ``n_bytes`` more; call it before they are written.

        Raises:
            OverQuotaError: If they do not fit beside what is stored and what else arrives.
        """
        if self._quota is None:
            return
        with self._lock:  # also while the database is asked: what another upload has stored meanwhile counts once
            arriving = self._bytes[parcel.tenant_id] + n_bytes
            with self._database.reading() as connection:
                room = room_left(connection, parcel.tenant_id, self._quota) or 0
                if arriving > max(room, parcel.replaces):
                    refusal = over_quota(connection, parcel.tenant_id, self._quota, arriving)
                    raise OverQuotaError(refusal or f"{arriving} more bytes than the quota of {self._quota} arrive.")
            self._bytes[parcel.tenant_id] = arriving
            parcel.size += n_bytes


@dataclass
class Parcel:
    """One upload.

    Attributes:
        incoming: Where it is counted.
        tenant_id: Whose it is.
        replaces: Bytes of the blob that it replaces.
        size: Bytes counted so far.
    """

    incoming: Incoming
    tenant_id: str
    replaces: int = 0
    size: int = 0

    def add(self, n_bytes: int) -> None:
        """Count the next bytes before they are written.

        Raises:
            OverQuotaError: If they do not fit.
        """
        self.incoming.add(self, n_bytes)
