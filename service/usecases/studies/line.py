"""Where a tenant's studies stand in line, and when they may be expected to start."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.engine import Connection

from service.store.db import studies, turns
from service.store.db.tenants import Defaults
from service.store.db.turns import Share

SHOWN = 10
LOOKED_AT = 1000
"""Starts that are worked out in advance; what stands behind them has no place yet."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One study in line.

    Attributes:
        study_id: Which.
        ahead: Studies of all tenants that start before it; None if nobody can say yet.
        starts_in_s: About how long until it starts, from the tenant's last ended studies; None if nobody can say.
    """

    study_id: str
    ahead: int | None
    starts_in_s: float | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """A tenant's part of the line.

    Attributes:
        share: How the tenant stands.
        total_weight: Of all tenants that have studies in line or running, this one among them.
        places: Its next studies, the first one first.
    """

    share: Share
    total_weight: float
    places: tuple[Place, ...]


def line_of(connection: Connection, tenant_id: str, defaults: Defaults, capacity: int) -> Line | None:
    """Return the tenant's part of the line; None for a tenant that is not there.

    Args:
        connection: Open transaction.
        tenant_id: Whose.
        defaults: Limits of tenants without their own.
        capacity: Studies that the workers run at once.
    """
    shares = turns.read_shares(connection, defaults)
    mine = next((one for one in shares if one.tenant_id == tenant_id), None)
    if mine is None:
        return None
    busy = [one for one in shares if one.waiting or one.running or one is mine]
    starts = turns.order(shares, LOOKED_AT)
    ahead = [n for n, tenant in enumerate(starts) if tenant == tenant_id]
    typical_s = studies.typical_wall_s(connection, tenant_id)
    places = []
    for n, study_id in enumerate(turns.waiting_of(connection, tenant_id, SHOWN)):
        before = ahead[n] if n < len(ahead) else None
        is_known = before is not None and typical_s is not None and capacity > 0
        starts_in_s = (before + 1) * typical_s / capacity if is_known else None  # type: ignore[operator]
        places.append(Place(study_id=study_id, ahead=before, starts_in_s=starts_in_s))
    return Line(share=mine, total_weight=sum(one.weight for one in busy), places=tuple(places))
