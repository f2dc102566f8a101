"""Trials as lists and charts show them: derived from items, so written again whenever the study is replayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from search.records.document import read, to_json
from search.records.trial import TrialRecord
from service.store.db.pages import Order, Page, read_page
from service.store.db.schema import trials
from service.store.db.writing import upsert

ORDERS = {
    "no": Order("trials.no", (trials.c.no,), (int,)),
    "-no": Order("trials.-no", (trials.c.no,), (int,), descending=True),
    "cost": Order("trials.cost", (trials.c.cost, trials.c.no), (float, int)),
    "-cost": Order("trials.-cost", (trials.c.cost, trials.c.no), (float, int), descending=True),
}
"""How the list can be sorted."""
_LINE = [column for column in trials.c if column.name not in ("detail", "created")]


@dataclass(frozen=True)
class TrialRow:
    """One trial as it is stored.

    Attributes:
        record: What lists and charts show.
        detail: What only the trial's own page shows; left out of lists.
    """

    record: TrialRecord
    detail: Mapping[str, Any] | None = None


def put(connection: Connection, *, study_id: str, tenant_id: str, rows: Iterable[TrialRow]) -> None:
    """Insert trials, or replace those with the same number."""
    owner = {"study_id": study_id, "tenant_id": tenant_id}
    values = [{**owner, **to_json(row.record), "detail": row.detail} for row in rows]
    upsert(connection, trials, [{**one, "cost": float(one["cost"])} for one in values], keep=("created",))


def page(
    connection: Connection,
    tenant_id: str,
    study_id: str,
    *,
    order: str = "no",
    verdict: str | None = None,
    stage: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[TrialRow]:
    """Return trials of a study of the tenant, without ``detail``.

    Args:
        connection: Open transaction.
        tenant_id: Whose.
        study_id: Of which study.
        order: One of ``ORDERS``.
        verdict: Only these.
        stage: Only these.
        cursor: ``next`` of the page before.
        limit: Most rows.

    Raises:
        BadCursorError: If the cursor is not one of this list in this order.
    """
    query = sa.select(*_LINE).where(trials.c.study_id == study_id, trials.c.tenant_id == tenant_id)
    if verdict is not None:
        query = query.where(trials.c.verdict == verdict)
    if stage is not None:
        query = query.where(trials.c.stage == stage)
    return read_page(connection, query, ORDERS[order], _trial, cursor=cursor, limit=limit)


def get(connection: Connection, tenant_id: str, study_id: str, no: int) -> TrialRow | None:
    """Return one trial with ``detail``."""
    here = sa.and_(trials.c.study_id == study_id, trials.c.no == no, trials.c.tenant_id == tenant_id)
    row = connection.execute(sa.select(*_LINE, trials.c.detail).where(here)).mappings().one_or_none()
    return None if row is None else _trial(row)


def count(connection: Connection, study_id: str) -> int:
    """Number of trials of a study."""
    return int(connection.scalar(sa.select(sa.func.count()).where(trials.c.study_id == study_id)) or 0)


def last_created(connection: Connection, study_id: str) -> datetime | None:
    """When the newest trial of a study was stored."""
    found: datetime | None = connection.scalar(
        sa.select(sa.func.max(trials.c.created)).where(trials.c.study_id == study_id)
    )
    return found


def _trial(row: Any) -> TrialRow:
    return TrialRow(read(TrialRecord, row), row.get("detail"))
