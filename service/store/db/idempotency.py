"""Answers by Idempotency-Key, so that a request sent again does nothing twice.

Claim, work and answer belong into one writing transaction: a second request with the same key then waits for the first
and finds its answer, or, if the first one failed, does the work itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.columns import now
from service.store.db.schema import idempotency
from service.store.db.writing import insert_missing


@dataclass(frozen=True)
class Answer:
    """What was answered: HTTP status, headers that matter, JSON body."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True)
class Claim:
    """What is known of a key.

    Attributes:
        is_new: Whether this request is the first one: do the work.
        same_body: Whether the first one had the same body.
        answer: Of the first one; None if it is new.
    """

    is_new: bool
    same_body: bool
    answer: Answer | None


def claim(connection: Connection, *, tenant_id: str, route: str, key: str, body_sha256: str) -> Claim:
    """Take the key, or say what was done with it; waits for a request in flight."""
    values = {"tenant_id": tenant_id, "route": route, "key": key, "body_sha256": body_sha256}
    if insert_missing(connection, idempotency, values):
        return Claim(is_new=True, same_body=True, answer=None)
    row = connection.execute(sa.select(idempotency).where(_is(tenant_id, route, key))).one()
    answer = None if row.status is None else Answer(row.status, row.headers or {}, row.body)
    return Claim(is_new=False, same_body=row.body_sha256 == body_sha256, answer=answer)


def answer(connection: Connection, *, tenant_id: str, route: str, key: str, given: Answer) -> None:
    """Keep the answer to a claimed key."""
    values = {"status": given.status, "headers": dict(given.headers), "body": given.body}
    connection.execute(idempotency.update().where(_is(tenant_id, route, key)).values(**values))


def forget(connection: Connection, age_s: float) -> int:
    """Delete keys older than ``age_s``; return how many."""
    return connection.execute(idempotency.delete().where(idempotency.c.created < now(age_s))).rowcount


def _is(tenant_id: str, route: str, key: str) -> sa.ColumnElement[bool]:
    columns = idempotency.c
    return sa.and_(columns.tenant_id == tenant_id, columns.route == route, columns.key == key)
