"""Webhooks as their administrators handle them: made, changed, given a new secret, looked at, sent again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from service.problems import Pointer, ServiceError, not_found
from service.store.db import audit, deliveries, webhooks
from service.store.db.deliveries import Delivery
from service.store.db.ids import is_id
from service.store.db.pages import Page
from service.store.db.webhooks import Webhook
from service.store.settings import Settings
from service.usecases.accounts.principal import Principal
from service.usecases.webhooks.egress import BadAddressError, Egress
from service.usecases.webhooks.messages import KINDS, TEST
from service.usecases.webhooks.signatures import new_secret

MAX_WEBHOOKS = 20
VALID_SECRETS = 2


@dataclass(frozen=True, kw_only=True)
class Registry:
    """Who handles the webhooks of which tenant.

    Attributes:
        connection: Open transaction; a writing one for everything but ``get``, ``listing`` and ``log``.
        principal: Who.
        settings: Whether webhooks are on, and where they may go.
        request_id: For the audit.
    """

    connection: Connection
    principal: Principal
    settings: Settings
    request_id: str | None = None

    def create(self, *, url: str, kinds: Collection[str] = ()) -> Webhook:
        """Make a webhook with a new secret.

        Raises:
            ServiceError: ``webhooks-off``, ``too-many-webhooks``, ``invalid-request``.
        """
        self._check_on()
        self._check(url=url, kinds=kinds)
        if len(self.listing()) >= MAX_WEBHOOKS:
            raise ServiceError("too-many-webhooks", f"There are {MAX_WEBHOOKS} webhooks, the limit.")
        made = webhooks.add(
            self.connection, tenant_id=self.principal.tenant_id, url=url, secrets=[new_secret()], kinds=set(kinds)
        )
        self._note("create", made.id)
        return made

    def listing(self) -> tuple[Webhook, ...]:
        """Return the tenant's by age."""
        return webhooks.listing(self.connection, self.principal.tenant_id)

    def get(self, webhook_id: str) -> Webhook:
        """Return one.

        Raises:
            ServiceError: ``not-found``.
        """
        found = None
        if is_id(webhook_id):
            found = webhooks.get(self.connection, self.principal.tenant_id, webhook_id)
        if found is None:
            raise not_found("webhook")
        return found

    def change(self, webhook_id: str, **changes: Any) -> Webhook:
        """Set ``url``, ``kinds`` or ``active``.

        Raises:
            ServiceError: ``not-found``, ``invalid-request``.
        """
        found = self.get(webhook_id)
        self._check(url=changes.get("url"), kinds=changes.get("kinds", ()))
        if not changes:
            return found
        self._note("change", found.id)
        return self._update(found.id, **changes)

    def rotate(self, webhook_id: str) -> Webhook:
        """Give it a new secret; the one before stays valid until ``retire`` or the next rotation.

        Raises:
            ServiceError: ``not-found``.
        """
        found = self.get(webhook_id)
        self._note("rotate", found.id)
        return self._update(found.id, secrets=[new_secret(), *found.secrets][:VALID_SECRETS])

    def retire(self, webhook_id: str) -> None:
        """Sign with the newest secret only; doing it twice changes nothing.

        Raises:
            ServiceError: ``not-found``.
        """
        found = self.get(webhook_id)
        if len(found.secrets) > 1:
            self._note("retire", found.id)
            self._update(found.id, secrets=found.secrets[:1])

    def delete(self, webhook_id: str) -> None:
        """Forget it with its log.

        Raises:
            ServiceError: ``not-found``.
        """
        found = self.get(webhook_id)
        webhooks.delete(self.connection, self.principal.tenant_id, found.id)
        self._note("delete", found.id)

    def log(self, webhook_id: str, *, cursor: str | None, limit: int) -> Page[Delivery]:
        """Return its messages, newest first.

        Raises:
            ServiceError: ``not-found``.
        """
        found = self.get(webhook_id)
        return deliveries.page(self.connection, self.principal.tenant_id, found.id, cursor=cursor, limit=limit)

    def test(self, webhook_id: str) -> Delivery:
        """Send it a message that tells nothing.

        Raises:
            ServiceError: ``not-found``, ``webhooks-off``.
        """
        self._check_on()
        found = self.get(webhook_id)
        tenant = self.principal.tenant_id
        made = deliveries.add(
            self.connection, webhook_id=found.id, tenant_id=tenant, kind=TEST, payload={"id": found.id}
        )
        return self._delivery(found.id, made)

    def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a message once more, now, with the same identifier.

        Raises:
            ServiceError: ``not-found``, ``webhooks-off``.
        """
        self._check_on()
        found = self._delivery(self.get(webhook_id).id, delivery_id)
        deliveries.again(self.connection, self.principal.tenant_id, found.id)
        self._note("redeliver", found.id)
        return self._delivery(webhook_id, found.id)

    def _delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        found = None
        if is_id(delivery_id):
            found = deliveries.get(self.connection, self.principal.tenant_id, delivery_id)
        if found is None or found.webhook_id != webhook_id:
            raise not_found("message")
        return found

    def _update(self, webhook_id: str, **changes: Any) -> Webhook:
        found = webhooks.update(self.connection, self.principal.tenant_id, webhook_id, **changes)
        if found is None:
            raise not_found("webhook")
        return found

    def _check_on(self) -> None:
        if not self.settings.webhooks:
            raise ServiceError("webhooks-off", "This server sends no webhooks.")

    def _check(self, *, url: str | None, kinds: Collection[str]) -> None:
        mistakes = []
        if unknown := sorted(set(kinds) - set(KINDS)):
            mistakes.append(Pointer("/kinds", f"has unknown kinds {', '.join(unknown[:5])}; have {', '.join(KINDS)}"))
        if url is not None:
            try:
                Egress(networks=self.settings.webhook_networks).check(url)
            except BadAddressError as error:
                mistakes.append(Pointer("/url", str(error)))
        if mistakes:
            detail = "; ".join(f"{one.pointer}: {one.message}" for one in mistakes)
            raise ServiceError("invalid-request", f"{detail}.", pointers=mistakes)

    def _note(self, what: str, found: str) -> None:
        audit.add(
            self.connection,
            actor=self.principal.actor,
            action=f"webhook.{what}",
            tenant_id=self.principal.tenant_id,
            object=found,
            request_id=self.request_id,
        )
