"""The server as its operator sees it: workers, tenants, everybody's audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from urllib.parse import quote

from search.records.document import to_json
from service.client.connection import AsyncConnection
from service.contract import KeyOnce, NewKey, Page, Scope, ServerAuditEntry, Tenant, Worker, page, read

_PATH = "/v1/operator"


class Kept(Enum):
    """A limit that stays as it is."""

    KEPT = "kept"


KEPT = Kept.KEPT


class AsyncOperator:
    """What keys with the scope ``operator`` may."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def workers(self) -> tuple[Worker, ...]:
        """Return the worker processes, the one seen last first."""
        return page(Worker, (await self._connection.ask("GET", "/v1/workers")).json()).items

    async def tenants(self) -> tuple[Tenant, ...]:
        """Return all tenants with what they use and what they may."""
        return page(Tenant, (await self._connection.ask("GET", f"{_PATH}/tenants")).json()).items

    async def change_tenant(
        self,
        tenant: str,
        *,
        weight: float | Kept | None = KEPT,
        max_running: int | Kept | None = KEPT,
        max_queued: int | Kept | None = KEPT,
        day_seconds: float | Kept | None = KEPT,
    ) -> Tenant:
        """Set weight and limits of a tenant, which is made if it is not there; None goes back to the default.

        Args:
            tenant: Its name.
            weight: Share of all starts, relative to the others'.
            max_running: Studies that run at once.
            max_queued: Studies that have not ended.
            day_seconds: Evaluator seconds in a day (UTC).
        """
        given = {
            "weight": weight,
            "max_running": max_running,
            "max_queued": max_queued,
            "day_seconds": day_seconds,
        }
        wanted = {key: value for key, value in given.items() if value is not KEPT}
        found = await self._connection.ask("PATCH", _tenant(tenant), json=wanted)
        return read(Tenant, found.json())

    async def create_key(
        self, tenant: str, name: str, scopes: Sequence[Scope], *, expires: datetime | None = None
    ) -> KeyOnce:
        """Make a key of a tenant; ``key`` of the answer is shown only here."""
        wanted = to_json(NewKey(name=name, scopes=tuple(scopes), expires=expires))
        found = await self._connection.ask("POST", f"{_tenant(tenant)}/keys", json=wanted, repeatable=False)
        return read(KeyOnce, found.json())

    async def audit(self, *, cursor: str | None = None, limit: int | None = None) -> Page[ServerAuditEntry]:
        """Return who did what in all tenants, newest first."""
        found = await self._connection.ask("GET", f"{_PATH}/audit", params={"cursor": cursor, "limit": limit})
        return page(ServerAuditEntry, found.json())


def _tenant(name: str) -> str:
    return f"{_PATH}/tenants/{quote(name, safe='')}"
