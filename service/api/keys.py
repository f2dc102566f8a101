"""API keys and the audit of the caller's tenant; administrators only."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.api.documented import PROBLEMS, created
from service.api.server_shapes import AuditEntry, KeyOnce, KeyShape, NewKey
from service.api.shapes import PageOf
from service.http.context import Administrator, PagingDep, PartsDep
from service.store.db import audit
from service.usecases.accounts import keys

_CREATED = {**PROBLEMS, **created(201, "key_id", "get_key", "revoke_key")}
router = APIRouter(prefix="/v1", tags=["keys"], responses=PROBLEMS)


@router.post("/keys", operation_id="create_key", status_code=201, responses=_CREATED)
def create_key(parts: PartsDep, principal: Administrator, body: NewKey, response: Response) -> KeyOnce:
    """Make a key; the answer is the only place where it is shown."""
    with parts.database.writing() as connection:
        made = keys.create(
            connection,
            principal,
            name=body.name,
            scopes=body.scopes,
            expires=body.expires,
            moment=parts.clock(),
        )
    response.headers["Location"] = f"/v1/keys/{made.key.id}"
    shape = KeyShape.model_validate(made.key)
    return KeyOnce(**shape.model_dump(), key=made.text)


@router.get("/keys", operation_id="list_keys")
def list_keys(parts: PartsDep, principal: Administrator, paging: PagingDep) -> PageOf[KeyShape]:
    """Return the tenant's keys, newest first."""
    with parts.database.reading() as connection:
        page = keys.listing(connection, principal, cursor=paging.cursor, limit=paging.limit)
    return PageOf(items=[KeyShape.model_validate(one) for one in page.rows], next=page.next)


@router.get("/keys/{key_id}", operation_id="get_key")
def get_key(parts: PartsDep, principal: Administrator, key_id: str) -> KeyShape:
    """Return one key."""
    with parts.database.reading() as connection:
        return KeyShape.model_validate(keys.get(connection, principal, key_id))


@router.post("/keys/{key_id}/revoke", operation_id="revoke_key")
def revoke_key(parts: PartsDep, principal: Administrator, key_id: str) -> KeyShape:
    """End a key and every login that was made with it, at once; it stays in the list."""
    with parts.database.writing() as connection:
        return KeyShape.model_validate(keys.revoke(connection, principal, key_id))


@router.get("/audit", operation_id="list_audit")
def list_audit(parts: PartsDep, principal: Administrator, paging: PagingDep) -> PageOf[AuditEntry]:
    """Return who did what, newest first."""
    with parts.database.reading() as connection:
        page = audit.page(connection, principal.tenant_id, cursor=paging.cursor, limit=paging.limit)
    return PageOf(items=[AuditEntry.model_validate(one) for one in page.rows], next=page.next)
