"""Webhooks of the tenant and what was sent to them; administrators only."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from service.client.errors import NotFoundError
from service.client.shapes import Delivery, Page, Webhook, page, read
from service.client.synchronous.connection import Connection

_PATH = "/v1/webhooks"


class Webhooks:
    """Addresses that are told when studies change."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, url: str, *, kinds: Sequence[str] = ()) -> Webhook:
        """Add one; ``secret`` of the answer is shown only here.

        Args:
            url: Where to send messages.
            kinds: Of which kinds; all if empty.
        """
        wanted = {"url": url, "kinds": list(kinds)}
        return read(Webhook, self._connection.ask("POST", _PATH, json=wanted, repeatable=False).json())

    def list(self) -> tuple[Webhook, ...]:
        """Return all of them."""
        return page(Webhook, self._connection.ask("GET", _PATH).json()).items

    def get(self, webhook_id: str) -> Webhook:
        """Return one."""
        return read(Webhook, self._connection.ask("GET", f"{_PATH}/{webhook_id}").json())

    def change(self, webhook_id: str, **changes: Any) -> Webhook:
        """Set ``url``, ``kinds`` or ``active``."""
        return read(Webhook, self._connection.ask("PATCH", f"{_PATH}/{webhook_id}", json=changes).json())

    def delete(self, webhook_id: str) -> None:
        """Forget one."""
        with suppress(NotFoundError):  # a repeated request finds it gone
            self._connection.ask("DELETE", f"{_PATH}/{webhook_id}")

    def rotate_secret(self, webhook_id: str) -> Webhook:
        """Make a new secret; messages are signed with both until the old one is retired."""
        path = f"{_PATH}/{webhook_id}/secrets"
        return read(Webhook, self._connection.ask("POST", path, repeatable=False).json())

    def retire_secret(self, webhook_id: str) -> None:
        """Stop signing with the old secret."""
        with suppress(NotFoundError):
            self._connection.ask("DELETE", f"{_PATH}/{webhook_id}/secrets/previous")

    def test(self, webhook_id: str) -> Delivery:
        """Send a message that says nothing."""
        path = f"{_PATH}/{webhook_id}/test"
        return read(Delivery, self._connection.ask("POST", path, repeatable=False).json())

    def deliveries(self, webhook_id: str, *, cursor: str | None = None, limit: int | None = None) -> Page[Delivery]:
        """Return the messages, newest first."""
        params = {"cursor": cursor, "limit": limit}
        path = f"{_PATH}/{webhook_id}/deliveries"
        return page(Delivery, self._connection.ask("GET", path, params=params).json())

    def redeliver(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a message again."""
        path = f"{_PATH}/{webhook_id}/deliveries/{delivery_id}/redeliver"
        return read(Delivery, self._connection.ask("POST", path).json())
