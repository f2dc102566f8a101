"""Keys, and who did what with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal

from service.contract.constraints import Count, Name, Zoned
from service.contract.message import Answer, Body, Values

Scope = Literal["metrics", "read", "submit", "admin", "operator"]
"""``admin`` is of one tenant, ``operator`` of the server; ``metrics`` opens ``/metrics`` and nothing else."""


@dataclass(frozen=True, kw_only=True)
class NewKey(Body):
    """A key to make."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], Count(min_length=1, max_length=5)]
    expires: Annotated[datetime, Zoned()] | None = None


@dataclass(frozen=True, kw_only=True)
class Key(Answer):
    """A key, without its secret."""

    id: str
    prefix: str
    name: str
    scopes: tuple[Scope, ...]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None


@dataclass(frozen=True, kw_only=True)
class KeyOnce(Key):
    """A key that was just made; `key` is shown only here."""

    key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class AuditEntry(Answer):
    """Who did what, when."""

    id: int
    actor: str
    action: str
    object: str | None
    request_id: str | None
    data: Values | None
    created: datetime
