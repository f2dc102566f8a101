"""The server itself: what it is, allows and knows; keys and audit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from service.client.errors import TemporaryError
from service.client.retries import NO_RETRIES
from service.client.shapes import AuditEntry, Key, NamedPlace, Page, Status, Target, Values, Worker, page, read
from service.client.synchronous.connection import Connection


class Server:
    """The server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def live(self) -> bool:
        """Whether its process answers."""
        found = self._connection.ask("GET", "/livez", retries=NO_RETRIES)
        return found.is_success

    def ready(self) -> bool:
        """Whether it can work: False while its database or storage is away."""
        try:
            self._connection.ask("GET", "/readyz", retries=NO_RETRIES)
        except TemporaryError:
            return False
        return True

    def version(self) -> Values:
        """Return the versions of the program, the interface and the job spec."""
        return self._values("/version")

    def metrics(self) -> str:
        """Return counters in Prometheus' text format; administrators only."""
        return self._connection.ask("GET", "/metrics").text

    def limits(self) -> Values:
        """Return what may be sent, queued and opened."""
        return self._values("/v1/limits")

    def status(self) -> Status:
        """Return how busy it is."""
        return read(Status, self._values("/v1/status"))

    def job_schema(self) -> Values:
        """Return the JSON Schema of the job spec."""
        return self._values("/v1/schemas/job")

    def targets(self) -> tuple[Target, ...]:
        """Return all chips."""
        return page(Target, self._values("/v1/targets")).items

    def target(self, name: str) -> Target:
        """Return one chip with its rules."""
        return read(Target, self._values(f"/v1/targets/{name}"))

    def connections(self) -> tuple[NamedPlace, ...]:
        """Return the named places that studies may read from."""
        return page(NamedPlace, self._values("/v1/connections")).items

    def workers(self) -> tuple[Worker, ...]:
        """Return the worker processes; administrators only."""
        return page(Worker, self._values("/v1/workers")).items

    def audit(self, *, cursor: str | None = None, limit: int | None = None) -> Page[AuditEntry]:
        """Return who did what, newest first; administrators only."""
        found = self._connection.ask("GET", "/v1/audit", params={"cursor": cursor, "limit": limit})
        return page(AuditEntry, found.json())

    def _values(self, path: str) -> Values:
        return cast(Values, self._connection.ask("GET", path).json())


class Keys:
    """API keys of the tenant; administrators only."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, name: str, scopes: Sequence[str], *, expires: datetime | None = None) -> Key:
        """Make a key; ``key`` of the answer is shown only here."""
        wanted: dict[str, Any] = {"name": name, "scopes": list(scopes)}
        if expires is not None:
            wanted["expires"] = expires.isoformat()
        return read(Key, self._connection.ask("POST", "/v1/keys", json=wanted, repeatable=False).json())

    def list(self, *, cursor: str | None = None, limit: int | None = None) -> Page[Key]:
        """Return the keys, newest first."""
        found = self._connection.ask("GET", "/v1/keys", params={"cursor": cursor, "limit": limit})
        return page(Key, found.json())

    def get(self, key_id: str) -> Key:
        """Return one key."""
        return read(Key, self._connection.ask("GET", f"/v1/keys/{key_id}").json())

    def revoke(self, key_id: str) -> Key:
        """End a key and its logins at once."""
        return read(Key, self._connection.ask("POST", f"/v1/keys/{key_id}/revoke").json())
