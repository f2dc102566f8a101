"""Results of items: the truth a study is replayed from. The first result of an item stays; a second one is dropped."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from search.tasks import ItemResult
from service.store.db import blobs
from service.store.db.schema import items
from service.store.db.writing import insert_missing

_CHUNK = 500


@dataclass(frozen=True)
class Since:
    """Results that came after an earlier look.

    Attributes:
        no: Number of the newest one, to begin the next look behind.
        results: By item digest.
    """

    no: int
    results: Mapping[str, ItemResult]


def put(connection: Connection, *, study_id: str, tenant_id: str, result: ItemResult) -> bool:
    """Store a result; False if the item has one. Its blobs must be there, and are kept as long as the study needs.

    Raises:
        MissingBlobError: If a blob is not there; nothing was changed.
    """
    number = sa.select(sa.func.coalesce(sa.func.max(items.c.no), 0) + 1).where(items.c.study_id == study_id)
    values: dict[str, Any] = {"study_id": study_id, "digest": result.digest, "tenant_id": tenant_id}
    values |= {"no": number.scalar_subquery(), "kind": result.kind, "data": dict(result.data)}
    values |= {"blobs": dict(result.blobs), "seconds": result.seconds, "reused": result.reused}
    blobs.refer(connection, tenant_id, "item", study_id, result.blobs.values())
    return insert_missing(connection, items, values)


def read(connection: Connection, study_id: str) -> dict[str, ItemResult]:
    """Return all results of a study by item digest, in the order they came."""
    query = sa.select(items).where(items.c.study_id == study_id).order_by(items.c.no, items.c.digest)
    return {row.digest: _result(row) for row in connection.execute(query)}


def since(connection: Connection, study_id: str, no: int) -> Since:
    """Return the results that came after number ``no`` of a study; 0 for all of them."""
    here = sa.and_(items.c.study_id == study_id, items.c.no > no)
    rows = connection.execute(sa.select(items).where(here).order_by(items.c.no)).all()
    return Since(no=rows[-1].no if rows else no, results={row.digest: _result(row) for row in rows})


def newest(connection: Connection, study_id: str, kind: str) -> ItemResult | None:
    """Return the result of a kind that came last; None if there is none."""
    here = sa.and_(items.c.study_id == study_id, items.c.kind == kind)
    row = connection.execute(sa.select(items).where(here).order_by(items.c.no.desc()).limit(1)).one_or_none()
    return None if row is None else _result(row)


def known(connection: Connection, study_id: str, digests: Collection[str]) -> frozenset[str]:
    """Return which of these items have a result."""
    wanted, found = sorted(set(digests)), set[str]()
    for start in range(0, len(wanted), _CHUNK):
        some = items.c.digest.in_(wanted[start : start + _CHUNK])
        found.update(connection.scalars(sa.select(items.c.digest).where(items.c.study_id == study_id, some)))
    return frozenset(found)


def count_by_kind(connection: Connection, study_id: str) -> Mapping[str, int]:
    """Number of finished items of every kind."""
    query = sa.select(items.c.kind, sa.func.count().label("n")).where(items.c.study_id == study_id)
    return {row.kind: row.n for row in connection.execute(query.group_by(items.c.kind))}


def seconds(connection: Connection, study_id: str, *, without: Collection[str] = ()) -> float:
    """Time all results of a study took, except those of some kinds."""
    query = sa.select(sa.func.sum(items.c.seconds)).where(items.c.study_id == study_id)
    return float(connection.scalar(query.where(items.c.kind.not_in(sorted(without)))) or 0.0)


def release_blobs(connection: Connection, study_id: str) -> int:
    """Give the arrays of a study up; the results stay. Only for studies that have ended: nothing replays them."""
    return blobs.release(connection, ["item"], study_id)


def _result(row: Any) -> ItemResult:
    return ItemResult(
        digest=row.digest, kind=row.kind, data=row.data, blobs=row.blobs, seconds=row.seconds, reused=row.reused
    )
