"""The server itself: what it is, allows and knows; keys and audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from search.records.document import to_json
from service.client.connection import AsyncConnection
from service.client.errors import TemporaryError
from service.client.retries import NO_RETRIES
from service.contract import (
    AuditEntry,
    Key,
    KeyOnce,
    Limits,
    NamedPlace,
    NewKey,
    Page,
    Scope,
    Status,
    TargetLine,
    TargetRules,
    Values,
    Version,
    page,
    read,
)


class AsyncServer:
    """The server."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def live(self) -> bool:
        """Whether its process answers."""
        found = await self._connection.ask("GET", "/livez", retries=NO_RETRIES)
        return found.is_success

    async def ready(self) -> bool:
        """Whether it can work: False while its database or storage is away."""
        try:
            await self._connection.ask("GET", "/readyz", retries=NO_RETRIES)
        except TemporaryError:
            return False
        return True

    async def version(self) -> Version:
        """Return the versions of the program, the interface and the job spec."""
        return read(Version, await self._values("/version"))

    async def metrics(self) -> str:
        """Return counters in Prometheus' text format; for keys with the scope ``metrics``."""
        return (await self._connection.ask("GET", "/metrics")).text

    async def limits(self) -> Limits:
        """Return what may be sent, queued and opened."""
        return read(Limits, await self._values("/v1/limits"))

    async def status(self) -> Status:
        """Return how busy it is."""
        return read(Status, await self._values("/v1/status"))

    async def job_schema(self) -> Values:
        """Return the JSON Schema of the job spec."""
        return await self._values("/v1/schemas/job")

    async def targets(self) -> tuple[TargetLine, ...]:
        """Return all chips."""
        return page(TargetLine, await self._values("/v1/targets")).items

    async def target(self, name: str) -> TargetRules:
        """Return one chip with its rules."""
        return read(TargetRules, await self._values(f"/v1/targets/{name}"))

    async def connections(self) -> tuple[NamedPlace, ...]:
        """Return the named places that studies may read from."""
        return page(NamedPlace, await self._values("/v1/connections")).items

    async def audit(self, *, cursor: str | None = None, limit: int | None = None) -> Page[AuditEntry]:
        """Return who did what, newest first; administrators only."""
        found = await self._connection.ask("GET", "/v1/audit", params={"cursor": cursor, "limit": limit})
        return page(AuditEntry, found.json())

    async def _values(self, path: str) -> Values:
        return cast(Values, (await self._connection.ask("GET", path)).json())


class AsyncKeys:
    """API keys of the tenant; administrators only."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(self, name: str, scopes: Sequence[Scope], *, expires: datetime | None = None) -> KeyOnce:
        """Make a key; ``key`` of the answer is shown only here."""
        wanted = to_json(NewKey(name=name, scopes=tuple(scopes), expires=expires))
        return read(KeyOnce, (await self._connection.ask("POST", "/v1/keys", json=wanted, repeatable=False)).json())

    async def list(self, *, cursor: str | None = None, limit: int | None = None) -> Page[Key]:
        """Return the keys, newest first."""
        found = await self._connection.ask("GET", "/v1/keys", params={"cursor": cursor, "limit": limit})
        return page(Key, found.json())

    async def get(self, key_id: str) -> Key:
        """Return one key."""
        return read(Key, (await self._connection.ask("GET", f"/v1/keys/{key_id}")).json())

    async def revoke(self, key_id: str) -> Key:
        """End a key and its logins at once."""
        return read(Key, (await self._connection.ask("POST", f"/v1/keys/{key_id}/revoke")).json())
