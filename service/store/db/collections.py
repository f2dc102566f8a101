"""Models and data sets: named lists of blobs, ``{relative path: sha256}``, that a study can refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db import blobs
from service.store.db.columns import now
from service.store.db.ids import new_id
from service.store.db.pages import Order, Page, read_page
from service.store.db.schema import blobs as blob_table
from service.store.db.schema import datasets, models


@dataclass(frozen=True, kw_only=True)
class Collection:
    """One model or data set.

    Attributes:
        digest: The model file; None for a data set.
        files: Relative path to digest: of a model, its external data.
        size: Bytes of all files.
        pinned: Whether it stays however long it is not used.
    """

    id: str
    tenant_id: str
    name: str | None
    digest: str | None
    files: Mapping[str, str]
    size: int
    pinned: bool
    created: datetime
    last_used: datetime


@dataclass(frozen=True)
class Collections:
    """The repository of models, or of data sets.

    Attributes:
        table: Where they are.
        holder: Under what they refer to their blobs.
    """

    table: sa.Table
    holder: blobs.Holder

    def add(
        self,
        connection: Connection,
        *,
        tenant_id: str,
        files: Mapping[str, str],
        name: str | None = None,
        digest: str | None = None,
    ) -> Collection:
        """Store a new one; its blobs are kept as long as it is.

        Raises:
            MissingBlobError: If a blob is not there or not the tenant's.
        """
        if (digest is None) == (self.holder == "model"):
            raise ValueError("A model has the digest of its file, a data set has none.")
        found = new_id()
        needed = {*files.values(), *([digest] if digest is not None else [])}
        blobs.refer(connection, tenant_id, self.holder, found, needed)
        values: dict[str, Any] = {"id": found, "tenant_id": tenant_id, "name": name, "files": dict(files)}
        if digest is not None:
            values["digest"] = digest
        size = _size(connection, [*files.values(), *([digest] if digest is not None else [])])
        connection.execute(self.table.insert().values(**values, size=size, pinned=False, last_used=now()))
        row = connection.execute(self._of(tenant_id).where(self.table.c.id == found)).mappings().one()
        return _collection(row)

    def get(self, connection: Connection, tenant_id: str, collection_id: str) -> Collection | None:
        """Return one of the tenant's."""
        row = connection.execute(self._of(tenant_id).where(self.table.c.id == collection_id)).mappings().one_or_none()
        return None if row is None else _collection(row)

    def page(
        self, connection: Connection, tenant_id: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[Collection]:
        """Return the tenant's, newest first."""
        order = Order(self.table.name, (self.table.c.id,), (str,), descending=True)
        return read_page(connection, self._of(tenant_id), order, _collection, cursor=cursor, limit=limit)

    def touch(self, connection: Connection, collection_id: str) -> None:
        """Note a use, so that it stays."""
        connection.execute(self.table.update().where(self.table.c.id == collection_id).values(last_used=now()))

    def pin(self, connection: Connection, tenant_id: str, collection_id: str, *, pinned: bool) -> bool:
        """Keep it for ever, or not; False if there is none."""
        return (
            connection.execute(
                self.table.update().where(self._is(tenant_id, collection_id)).values(pinned=pinned)
            ).rowcount
            == 1
        )

    def delete(self, connection: Connection, tenant_id: str, collection_id: str) -> bool:
        """Forget it; studies that use it keep its blobs. False if there is none."""
        done = connection.execute(self.table.delete().where(self._is(tenant_id, collection_id))).rowcount == 1
        if done:
            blobs.release(connection, [self.holder], collection_id)
        return done

    def delete_unused(self, connection: Connection, idle_s: float) -> int:
        """Forget what was not used for ``idle_s`` and is not pinned; return how many."""
        idle = sa.and_(self.table.c.last_used < now(idle_s), ~self.table.c.pinned)
        rows = connection.execute(sa.select(self.table.c.tenant_id, self.table.c.id).where(idle)).all()
        return sum(self.delete(connection, tenant_id, found) for tenant_id, found in rows)

    def _of(self, tenant_id: str) -> sa.Select[Any]:
        return sa.select(self.table).where(self.table.c.tenant_id == tenant_id)

    def _is(self, tenant_id: str, collection_id: str) -> sa.ColumnElement[bool]:
        return sa.and_(self.table.c.tenant_id == tenant_id, self.table.c.id == collection_id)


MODELS = Collections(models, "model")
DATASETS = Collections(datasets, "dataset")


def _size(connection: Connection, digests: list[str]) -> int:
    """Bytes of the files; one that appears twice counts twice."""
    known: dict[str, int] = {}
    distinct = sorted(set(digests))
    for start in range(0, len(distinct), 500):
        some = distinct[start : start + 500]
        query = sa.select(blob_table.c.digest, blob_table.c.size).where(blob_table.c.digest.in_(some))
        known.update((row.digest, row.size) for row in connection.execute(query))
    return sum(known[digest] for digest in digests)


def _collection(row: Any) -> Collection:
    return Collection(**{"digest": None, **row})
