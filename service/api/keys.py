"""API keys and the audit of the caller's tenant; administrators only."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service import contract
from service.api.documented import PROBLEMS, created
from service.http.context import Administrator, PagingDep, PartsDep
from service.store.db import audit
from service.usecases.accounts import keys

_CREATED = {**PROBLEMS, **created(201, "key_id", "get_key", "revoke_key")}
router = APIRouter(prefix="/v1", tags=["keys"], responses=PROBLEMS)


@router.post("/keys", operation_id="create_key", status_code=201, responses=_CREATED)
def create_key(
    parts: PartsDep, principal: Administrator, body: contract.NewKey, response: Response
) -> contract.KeyOnce:
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
    return contract.shaped(contract.KeyOnce, made.key, key=made.text)


@router.get("/keys", operation_id="list_keys")
def list_keys(parts: PartsDep, principal: Administrator, paging: PagingDep) -> contract.Page[contract.Key]:
    """Return the tenant's keys, newest first."""
    with parts.database.reading() as connection:
        page = keys.listing(connection, principal, cursor=paging.cursor, limit=paging.limit)
    return contract.Page(items=contract.shaped_each(contract.Key, page.rows), next=page.next)


@router.get("/keys/{key_id}", operation_id="get_key")
def get_key(parts: PartsDep, principal: Administrator, key_id: str) -> contract.Key:
    """Return one key."""
    with parts.database.reading() as connection:
        return contract.shaped(contract.Key, keys.get(connection, principal, key_id))


@router.post("/keys/{key_id}/revoke", operation_id="revoke_key")
def revoke_key(parts: PartsDep, principal: Administrator, key_id: str) -> contract.Key:
    """End a key and every login that was made with it, at once; it stays in the list."""
    with parts.database.writing() as connection:
        return contract.shaped(contract.Key, keys.revoke(connection, principal, key_id))


@router.get("/audit", operation_id="list_audit")
def list_audit(parts: PartsDep, principal: Administrator, paging: PagingDep) -> contract.Page[contract.AuditEntry]:
    """Return who did what, newest first."""
    with parts.database.reading() as connection:
        page = audit.page(connection, principal.tenant_id, cursor=paging.cursor, limit=paging.limit)
    return contract.Page(items=contract.shaped_each(contract.AuditEntry, page.rows), next=page.next)
