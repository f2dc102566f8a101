"""Doing something once per Idempotency-Key: the answer of the first request is given to every other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from service.problems import ServiceError
from service.store.db import idempotency
from service.store.db.idempotency import Answer
from service.usecases.accounts.principal import Principal


@dataclass(frozen=True)
class Once:
    """A request that may come several times.

    Attributes:
        route: What is asked of which address.
        key: The caller's key; None does it every time.
        body: What was sent.
    """

    route: str
    key: str | None
    body: bytes


@dataclass(frozen=True)
class Given:
    """An answer.

    Attributes:
        answer: It.
        is_replayed: Whether an earlier request led to it.
    """

    answer: Answer
    is_replayed: bool


def do_once(connection: Connection, principal: Principal, once: Once, work: Callable[[], Answer]) -> Given:
    """Do the work and keep its answer, or return the kept one.

    Args:
        connection: Writing transaction, which the work uses too: key, work and answer are there together or not at all.
        principal: Keys of different tenants have nothing to do with each other.
        once: The request.
        work: Does it.

    Raises:
        ServiceError: ``idempotency-mismatch`` if the key came with another body before.
    """
    if once.key is None:
        return Given(work(), is_replayed=False)
    named = {"tenant_id": principal.tenant_id, "route": once.route, "key": once.key}
    claim = idempotency.claim(connection, **named, body_sha256=hashlib.sha256(once.body).hexdigest())
    if not claim.same_body:
        raise ServiceError("idempotency-mismatch", "The Idempotency-Key came with another body before.")
    if claim.answer is not None:
        return Given(claim.answer, is_replayed=True)
    answer = work()
    idempotency.answer(connection, **named, given=answer)
    return Given(answer, is_replayed=False)
