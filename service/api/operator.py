"""The server as its operator sees it: workers, tenants with their limits and keys, everybody's audit."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from service import contract
from service.api.documented import PROBLEMS
from service.http.context import GivenKeys, Operator, PagingDep, PartsDep, RequestId
from service.http.gate import OPERATOR_PREFIX, WORKERS
from service.problems import not_found
from service.store.db import audit, tenants, workers
from service.usecases.accounts import keys
from service.usecases.accounts.tenants import change_limits, tenants_of

router = APIRouter(tags=["operator"], responses=PROBLEMS)
TenantName = Annotated[str, Path(min_length=1, max_length=200)]


@router.get(WORKERS, operation_id="list_workers")
def list_workers(parts: PartsDep, _: Operator) -> contract.Items[contract.Worker]:
    """Return the worker processes, the one seen last first."""
    with parts.database.reading() as connection:
        found = workers.listing(connection)
    return contract.Items(items=contract.shaped_each(contract.Worker, found))


@router.get(f"{OPERATOR_PREFIX}tenants", operation_id="list_tenants")
def list_tenants(parts: PartsDep, _: Operator) -> contract.Items[contract.Tenant]:
    """Return all tenants by name."""
    with parts.database.reading() as connection:
        return contract.Items(items=tenants_of(connection, parts.settings))


@router.patch(OPERATOR_PREFIX + "tenants/{name}", operation_id="change_tenant")
def change_tenant(
    *,
    parts: PartsDep,
    principal: Operator,
    name: TenantName,
    body: contract.TenantLimits,
    given: GivenKeys,
    request_id: RequestId,
) -> contract.Tenant:
    """Set weight and limits of a tenant; it is made if it is not there."""
    changes = {key: getattr(body, key) for key in given}
    with parts.database.writing() as connection:
        change_limits(connection, name, changes, actor=principal.actor, request_id=request_id)
        found = tenants_of(connection, parts.settings)
    return next(one for one in found if one.name == name)


@router.post(OPERATOR_PREFIX + "tenants/{name}/keys", operation_id="create_tenant_key", status_code=201)
def create_tenant_key(
    parts: PartsDep, principal: Operator, name: TenantName, body: contract.NewKey, response: Response
) -> contract.KeyOnce:
    """Make a key of a tenant, as its first administrator's; the answer is the only place where it is shown."""
    with parts.database.writing() as connection:
        tenant = tenants.by_name(connection, name)
        if tenant is None:
            raise not_found("tenant")
        made = keys.create_for(
            connection,
            tenant_id=tenant.id,
            actor=principal.actor,
            name=body.name,
            scopes=body.scopes,
            expires=body.expires,
            moment=parts.clock(),
        )
    return contract.shaped(contract.KeyOnce, made.key, key=made.text)


@router.get(f"{OPERATOR_PREFIX}audit", operation_id="list_server_audit")
def list_server_audit(parts: PartsDep, _: Operator, paging: PagingDep) -> contract.Page[contract.ServerAuditEntry]:
    """Return who did what in all tenants, newest first."""
    with parts.database.reading() as connection:
        page = audit.page(connection, None, cursor=paging.cursor, limit=paging.limit)
        names = {one.id: one.name for one in tenants.listing(connection)}
    items = tuple(
        contract.shaped(contract.ServerAuditEntry, one, tenant=names.get(one.tenant_id or "")) for one in page.rows
    )
    return contract.Page(items=items, next=page.next)
