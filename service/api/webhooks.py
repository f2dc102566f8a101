"""Webhooks of the caller's tenant: where its messages go, their log, sending one again; administrators only."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.engine import Connection

from service.api.documented import PROBLEMS, created
from service.api.shapes import PageOf
from service.api.webhook_shapes import (
    DeliveryShape,
    NewWebhook,
    WebhookChanges,
    WebhookOnce,
    Webhooks,
    WebhookShape,
)
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
    parts: PartsDep, principal: Administrator, request_id: RequestId, body: NewWebhook, response: Response
) -> WebhookOnce:
    """Make a webhook; the answer is the only place where its secret is shown."""
    with parts.database.writing() as connection:
        registry = _registry(connection, parts, principal, request_id)
        made = registry.create(url=body.url, kinds=body.kinds)
    response.headers["Location"] = f"/v1/webhooks/{made.id}"
    return _once(made)


@router.get("", operation_id="list_webhooks")
def list_webhooks(parts: PartsDep, principal: Administrator) -> Webhooks:
    """Return the tenant's webhooks by age."""
    with parts.database.reading() as connection:
        found = _registry(connection, parts, principal).listing()
    return Webhooks(items=[_shape(one) for one in found])


@router.get("/{webhook_id}", operation_id="get_webhook")
def get_webhook(parts: PartsDep, principal: Administrator, webhook_id: str) -> WebhookShape:
    """Return one webhook."""
    with parts.database.reading() as connection:
        return _shape(_registry(connection, parts, principal).get(webhook_id))


@router.patch("/{webhook_id}", operation_id="change_webhook")
def change_webhook(
    parts: PartsDep, principal: Administrator, request_id: RequestId, webhook_id: str, body: WebhookChanges
) -> WebhookShape:
    """Change where a webhook goes or what it tells, or switch it off or on."""
    with parts.database.writing() as connection:
        registry = _registry(connection, parts, principal, request_id)
        return _shape(registry.change(webhook_id, **body.model_dump(exclude_none=True)))


@router.delete("/{webhook_id}", operation_id="delete_webhook", status_code=204)
def delete_webhook(parts: PartsDep, principal: Administrator, request_id: RequestId, webhook_id: str) -> None:
    """Forget a webhook with its log."""
    with parts.database.writing() as connection:
        _registry(connection, parts, principal, request_id).delete(webhook_id)


@router.post("/{webhook_id}/secrets", operation_id="rotate_webhook_secret", status_code=201)
def rotate_secret(parts: PartsDep, principal: Administrator, request_id: RequestId, webhook_id: str) -> WebhookOnce:
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
def test_webhook(parts: PartsDep, principal: Administrator, webhook_id: str) -> DeliveryShape:
    """Send a message of the kind `webhook.test`."""
    with parts.database.writing() as connection:
        registry = _registry(connection, parts, principal)
        return DeliveryShape.model_validate(registry.test(webhook_id))


@router.get("/{webhook_id}/deliveries", operation_id="list_deliveries")
def list_deliveries(
    parts: PartsDep, principal: Administrator, webhook_id: str, paging: PagingDep
) -> PageOf[DeliveryShape]:
    """Return the messages of a webhook, newest first; those that ended are kept for 30 days."""
    with parts.database.reading() as connection:
        registry = _registry(connection, parts, principal)
        page = registry.log(webhook_id, cursor=paging.cursor, limit=paging.limit)
    return PageOf(items=[DeliveryShape.model_validate(one) for one in page.rows], next=page.next)


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver", operation_id="redeliver", status_code=202)
def redeliver(
    parts: PartsDep, principal: Administrator, request_id: RequestId, webhook_id: str, delivery_id: str
) -> DeliveryShape:
    """Send a message once more, now, with the same `webhook-id`."""
    with parts.database.writing() as connection:
        registry = _registry(connection, parts, principal, request_id)
        return DeliveryShape.model_validate(registry.redeliver(webhook_id, delivery_id))


def _registry(connection: Connection, parts: Parts, principal: Principal, request_id: str | None = None) -> Registry:
    return Registry(connection=connection, principal=principal, settings=parts.settings, request_id=request_id)


def _shape(one: Webhook) -> WebhookShape:
    return WebhookShape(**_values(one))


def _once(one: Webhook) -> WebhookOnce:
    return WebhookOnce(**_values(one), secret=one.secrets[0])


def _values(one: Webhook) -> dict[str, Any]:
    return {
        "id": one.id,
        "url": one.url,
        "kinds": list(one.kinds),
        "active": one.active,
        "n_secrets": len(one.secrets),
        "created": one.created,
    }
