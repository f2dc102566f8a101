"""Rows that many tests need, in one line each."""

from __future__ import annotations

import hashlib
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from search.tasks import ItemResult
from service.store.db import blobs, studies, tenants
from service.store.db.columns import now
from service.store.db.studies import Study
from service.store.db.trials import TrialRow
from tests.trial_rows import trial_row

OTHER = "018f0000-0000-7000-8000-00000000abcd"  # an identifier nobody has


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def tenant(connection: Connection, name: str = "acme") -> str:
    return tenants.ensure(connection, name).id


def blob(connection: Connection, tenant_id: str, text: str) -> str:
    blobs.put(connection, tenant_id, digest(text), len(text))
    return digest(text)


def study(connection: Connection, tenant_id: str, **changes: Any) -> Study:
    values: dict[str, Any] = {"spec": {"target": {"name": "j6m"}}, "spec_digest": digest("spec"), "target": "j6m"}
    return studies.add(connection, tenant_id=tenant_id, **{**values, **changes})


def item(text: str, **changes: Any) -> ItemResult:
    values: dict[str, Any] = {"digest": digest(text), "kind": "evaluate", "data": {"sum": 1.5}, "seconds": 2.0}
    return ItemResult(**{**values, **changes})


def trial(no: int, **changes: Any) -> TrialRow:
    usual = {"digest": digest(str(no)), "stage": "ladder", "ratio": 0.5, "n_run": 100, "seconds": 1.0, "why": "first"}
    return trial_row(no, **{**usual, **changes})


def set_back(connection: Connection, table: sa.Table, column: str, seconds: float) -> None:
    """Make every row older: the tests' way to let time pass."""

    connection.execute(table.update().where(table.c[column].is_not(None)).values({column: now(seconds)}))
