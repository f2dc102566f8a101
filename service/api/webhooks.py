"""Webhooks of the caller's tenant: where its messages go, their log, sending one again; administrators only."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.engine import Connection

from service import contract
from service.api.documented import PROBLEMS, created
from service.http.context import Administrator, PagingDep, Parts, PartsDep, RequestId
from service.store.db.webhooks import Webhook
from service.usecases.accounts.principal import Principal
from service.usecases.webhooks.registry import Registry

_MADE = {
    **PROBLEMS,
    **created(
        201,
        "webhook_id",
        "get_webhook",
        "change_webhook",
        "rotate_webhook_secret",
        "test_webhook",
        "list_deliveries",
        "delete_webhook",
    ),
}
router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], responses=PROBLEMS)


@router.post("", operation_id="create_webhook", status_code=201, responses=_MADE)
def create_webhook(
    parts: PartsDep, principal: Administrator, request_id: RequestId, body: contract.NewWebhook, response: Response
) -> contract.WebhookOnce:
    """Make a webhook; the answer is the only place where its secret is shown."""
    with parts.database.writing() as connection:
        registry = _registry(connection, parts, principal, request_id)
        made = registry.create(url=body.url, kinds=body.kinds)
    response.headers["Location"] = f"/v1/webhooks/{made.id}"
    return _once(made)


@router.get("", operation_id="list_webhooks")
def list_webhooks(parts: PartsDep, principal: Administrator) -> contract.Items[contract.Webhook]:
    """Return the tenant's webhooks by age."""
    with parts.database.reading() as connection:
        found = _registry(connection, parts, principal).listing()
    return contract.Items(items=tuple(_shape(one) for one in found))


@router.get("/{webhook_id}", operation_id="get_webhook")
def get_webhook(parts: PartsDep, principal: Administrator, webhook_id: str) -> contract.Webhook:
    """Return one webhook."""
    with parts.database.reading() as connection:
        return _shape(_registry(connection, parts, principal).get(webhook_id))


@router.patch("/{webhook_id}", operation_id="change_webhook")
def change_webhook(
    parts: PartsDep, principal: Administrator, request_id: RequestId, webhook_id: str, body: contract.WebhookChanges
) -> contract.Webhook:
    """Change where a webhook goes or what it tells, or switch it off or on."""
    with parts.database.writing() as connection:
        registry = _registry(connection, parts, principal, request_id)
        return _shape(registry.change(webhook_id, **_given(body)))


@router.delete("/{webhook_id}", operation_id="delete_webhook", status_code=204)
def delete_webhook(parts: PartsDep, principal: Administrator, request_id: RequestId, webhook_id: str) -> None:
    """Forget a webhook with its log."""
    with parts.database.writing() as connection:
        _registry(connection, parts, principal, request_id).delete(webhook_id)


@router.post("/{webhook_id}/secrets", operation_id="rotate_webhook_secret", status_code=201)
def rotate_secret(
    parts: PartsDep, principal: Administrator, request_id: RequestId, webhook_id: str
) -> contract.WebhookOnce:
    """Make a new secret; messages are signed with it and with the one before until that is retired."""
    with parts.database.writing() as connection:
        registry = _registry(connection, parts, principal, request_id)
        return _once(registry.rotate(webhook_id))


@router.delete("/{webhook_id}/secrets/previous", operation_id="retire_webhook_secret", status_code=204)
def retire_secret(parts: PartsDep, principal: Administrator, request_id: RequestId, webhook_id: str) -> None:
    """Sign with the newest secret only."""
    with parts.database.writing() as connection:
        _registry(connection, parts, principal, request_id).retire(webhook_id)


@router.post("/{webhook_id}/test", operation_id="test_webhook", status_code=202)
def test_webhook(parts: PartsDep, principal: Administrator, webhook_id: str) -> contract.Delivery:
    """Send a message of the kind `webhook.test`."""
    with parts.database.writing() as connection:
        registry = _registry(connection, parts, principal)
        return contract.shaped(contract.Delivery, registry.test(webhook_id))


@router.get("/{webhook_id}/deliveries", operation_id="list_deliveries")
def list_deliveries(
    parts: PartsDep, principal: Administrator, webhook_id: str, paging: PagingDep
) -> contract.Page[contract.Delivery]:
    """Return the messages of a webhook, newest first; those that ended are kept for 30 days."""
    with parts.database.reading() as connection:
        registry = _registry(connection, parts, principal)
        page = registry.log(webhook_id, cursor=paging.cursor, limit=paging.limit)
    return contract.Page(items=contract.shaped_each(contract.Delivery, page.rows), next=page.next)


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver", operation_id="redeliver", status_code=202)
def redeliver(
    parts: PartsDep, principal: Administrator, request_id: RequestId, webhook_id: str, delivery_id: str
) -> contract.Delivery:
    """Send a message once more, now, with the same `webhook-id`."""
    with parts.database.writing() as connection:
        registry = _registry(connection, parts, principal, request_id)
        return contract.shaped(contract.Delivery, registry.redeliver(webhook_id, delivery_id))


def _registry(connection: Connection, parts: Parts, principal: Principal, request_id: str | None = None) -> Registry:
    return Registry(connection=connection, principal=principal, settings=parts.settings, request_id=request_id)


def _given(changes: contract.WebhookChanges) -> dict[str, Any]:
    return {name: value for name, value in vars(changes).items() if value is not None}


def _shape(one: Webhook) -> contract.Webhook:
    return contract.shaped(contract.Webhook, one, n_secrets=len(one.secrets))


def _once(one: Webhook) -> contract.WebhookOnce:
    return contract.shaped(contract.WebhookOnce, one, n_secrets=len(one.secrets), secret=one.secrets[0])
