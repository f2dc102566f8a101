"""What the operator of a server sees of all tenants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from service.contract.accounts import AuditEntry
from service.contract.constraints import Number, Whole
from service.contract.message import Answer, Body


@dataclass(frozen=True, kw_only=True)
class Tenant(Answer):
    """A tenant: what it may, and what it uses; limits are null where there is none."""

    name: str
    weight: float
    running: int
    max_running: int | None
    waiting: int
    max_queued: int
    used_seconds_today: float
    day_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class TenantLimits(Body):
    """Limits of one tenant: what is left away stays, null goes back to the server's default."""

    weight: Annotated[float, Number(ge=0.001, le=1000)] | None = None
    max_running: Annotated[int, Whole(ge=1, lt=2**31)] | None = None
    max_queued: Annotated[int, Whole(ge=1, lt=2**31)] | None = None
    day_seconds: Annotated[float, Number(ge=1, le=1e9)] | None = None


@dataclass(frozen=True, kw_only=True)
class ServerAuditEntry(AuditEntry):
    """Who did what, when, in which tenant; null where it concerns none."""

    tenant: str | None
