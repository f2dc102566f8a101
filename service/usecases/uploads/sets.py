"""Models with external data and data sets of many files: names for blobs that were uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from service.problems import Pointer, ServiceError, not_found
from service.store.db import audit
from service.store.db.collections import MODELS, Collection, Collections
from service.store.db.errors import MissingBlobError
from service.store.db.ids import is_id
from service.store.db.pages import Page
from service.store.names import path_problems
from service.usecases.accounts.principal import Principal

MAX_POINTERS = 50


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A collection to make.

    Attributes:
        name: What its owner calls it.
        digest: The model file; None for a data set.
        files: Relative path to digest; of a model its external data.
    """

    name: str | None
    digest: str | None
    files: Mapping[str, str]


def noun(which: Collections) -> str:
    """What users call one of them."""
    return "model" if which is MODELS else "data set"


def create(
    connection: Connection, principal: Principal, which: Collections, wanted: Wanted, *, max_bytes: int
) -> Collection:
    """Make a model or a data set of blobs that the tenant uploaded.

    Raises:
        ServiceError: ``invalid-request`` for paths that cannot be used, ``unknown-input`` for blobs that are not there,
            ``too-large`` above ``max_bytes``.
    """
    mistakes = list(path_problems(wanted.files, at="/files"))[:MAX_POINTERS]
    if mistakes:
        raise ServiceError("invalid-request", f"{mistakes[0].pointer}: {mistakes[0].message}.", pointers=mistakes)
    try:
        made = which.add(
            connection,
            tenant_id=principal.tenant_id,
            name=wanted.name,
            files=dict(wanted.files),
            digest=wanted.digest,
        )
    except MissingBlobError as error:
        raise ServiceError("unknown-input", str(error), pointers=_missing(wanted, error.digests)) from None
    if made.size > max_bytes:
        raise ServiceError("too-large", f"The {noun(which)} has {made.size} bytes, the limit is {max_bytes}.")
    _note(connection, principal, which, "create", made.id)
    return made


def listing(
    connection: Connection, principal: Principal, which: Collections, *, cursor: str | None, limit: int
) -> Page[Collection]:
    """Return the tenant's models or data sets, newest first."""
    return which.page(connection, principal.tenant_id, cursor=cursor, limit=limit)


def get(connection: Connection, principal: Principal, which: Collections, collection_id: str) -> Collection:
    """Return one of the tenant's.

    Raises:
        ServiceError: ``not-found``.
    """
    found = which.get(connection, principal.tenant_id, collection_id) if is_id(collection_id) else None
    if found is None:
        raise not_found(noun(which))
    return found


def pin(
    connection: Connection, principal: Principal, which: Collections, collection_id: str, *, pinned: bool
) -> Collection:
    """Keep one however long it is not used, or not.

    Raises:
        ServiceError: ``not-found``.
    """
    found = get(connection, principal, which, collection_id)
    which.pin(connection, principal.tenant_id, found.id, pinned=pinned)
    _note(connection, principal, which, "pin" if pinned else "unpin", found.id)
    return get(connection, principal, which, found.id)


def delete(connection: Connection, principal: Principal, which: Collections, collection_id: str) -> None:
    """Forget one; studies that use it keep its bytes.

    Raises:
        ServiceError: ``not-found``.
    """
    found = get(connection, principal, which, collection_id)
    which.delete(connection, principal.tenant_id, found.id)
    _note(connection, principal, which, "delete", found.id)


def _note(connection: Connection, principal: Principal, which: Collections, what: str, found: str) -> None:
    audit.add(
        connection,
        actor=principal.actor,
        action=f"{which.holder}.{what}",
        tenant_id=principal.tenant_id,
        object=found,
    )


def _missing(wanted: Wanted, digests: tuple[str, ...]) -> list[Pointer]:
    missing = set(digests)
    found = [Pointer("/digest", "is not there")] if wanted.digest in missing else []
    for path, digest in wanted.files.items():
        if digest in missing:
            step = path.replace("~", "~0").replace("/", "~1")
            found.append(Pointer(f"/files/{step}", f"there is no blob sha256:{digest}"))
    return found[:MAX_POINTERS]
