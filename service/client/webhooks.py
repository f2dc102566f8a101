"""Webhooks of the tenant and what was sent to them; administrators only."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from search.records.document import to_json
from service.client.connection import AsyncConnection
from service.client.errors import NotFoundError
from service.contract import Delivery, EventKind, NewWebhook, Page, Webhook, WebhookChanges, WebhookOnce, page, read

_PATH = "/v1/webhooks"


class AsyncWebhooks:
    """Addresses that are told when studies change."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(self, url: str, *, kinds: Sequence[EventKind] = ()) -> WebhookOnce:
        """Add one; ``secret`` of the answer is shown only here.

        Args:
            url: Where to send messages.
            kinds: Of which kinds; all if empty.
        """
        wanted = to_json(NewWebhook(url=url, kinds=tuple(kinds)))
        return read(WebhookOnce, (await self._connection.ask("POST", _PATH, json=wanted, repeatable=False)).json())

    async def list(self) -> tuple[Webhook, ...]:
        """Return all of them."""
        return page(Webhook, (await self._connection.ask("GET", _PATH)).json()).items

    async def get(self, webhook_id: str) -> Webhook:
        """Return one."""
        return read(Webhook, (await self._connection.ask("GET", f"{_PATH}/{webhook_id}")).json())

    async def change(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        kinds: Sequence[EventKind] | None = None,
        active: bool | None = None,
    ) -> Webhook:
        """Change where it goes or what it tells, or switch it off or on; what is None stays."""
        wanted = to_json(WebhookChanges(url=url, kinds=None if kinds is None else tuple(kinds), active=active))
        return read(Webhook, (await self._connection.ask("PATCH", f"{_PATH}/{webhook_id}", json=wanted)).json())

    async def delete(self, webhook_id: str) -> None:
        """Forget one."""
        with suppress(NotFoundError):  # a repeated request finds it gone
            await self._connection.ask("DELETE", f"{_PATH}/{webhook_id}")

    async def rotate_secret(self, webhook_id: str) -> WebhookOnce:
        """Make a new secret; messages are signed with both until the old one is retired."""
        path = f"{_PATH}/{webhook_id}/secrets"
        return read(WebhookOnce, (await self._connection.ask("POST", path, repeatable=False)).json())

    async def retire_secret(self, webhook_id: str) -> None:
        """Stop signing with the old secret."""
        with suppress(NotFoundError):
            await self._connection.ask("DELETE", f"{_PATH}/{webhook_id}/secrets/previous")

    async def test(self, webhook_id: str) -> Delivery:
        """Send a message that says nothing."""
        path = f"{_PATH}/{webhook_id}/test"
        return read(Delivery, (await self._connection.ask("POST", path, repeatable=False)).json())

    async def deliveries(
        self, webhook_id: str, *, cursor: str | None = None, limit: int | None = None
    ) -> Page[Delivery]:
        """Return the messages, newest first."""
        params = {"cursor": cursor, "limit": limit}
        path = f"{_PATH}/{webhook_id}/deliveries"
        return page(Delivery, (await self._connection.ask("GET", path, params=params)).json())

    async def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a message again."""
        path = f"{_PATH}/{webhook_id}/deliveries/{delivery_id}/redeliver"
        return read(Delivery, (await self._connection.ask("POST", path)).json())
