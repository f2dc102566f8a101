"""Tenants as the operator handles them: what they use and may, and changes of their limits."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.engine import Connection

from service.contract import Tenant
from service.store.db import audit, tenants, turns
from service.store.db.tenants import defaults_of
from service.store.settings import Settings


def tenants_of(connection: Connection, settings: Settings) -> tuple[Tenant, ...]:
    """Return all tenants by name, with what they use and what they may."""
    shares = {one.tenant_id: one for one in turns.read_shares(connection, defaults_of(settings))}
    return tuple(
        Tenant(
            name=one.name,
            weight=shares[one.id].weight,
            running=shares[one.id].running,
            max_running=shares[one.id].max_running,
            waiting=shares[one.id].waiting,
            max_queued=one.max_queued or settings.max_queued_studies,
            used_seconds_today=shares[one.id].used_s,
            day_seconds=shares[one.id].day_seconds,
        )
        for one in tenants.listing(connection)
    )


def change_limits(
    connection: Connection,
    name: str,
    changes: Mapping[str, float | None],
    *,
    actor: str,
    request_id: str | None = None,
) -> None:
    """Set limits of a tenant, which is made if it is not there; None goes back to the settings' default.

    Args:
        connection: Writing transaction.
        name: Which tenant.
        changes: ``weight``, ``max_running``, ``max_queued``, ``day_seconds``: those that change.
        actor: Who, for the audit.
        request_id: Of the request, for the audit.
    """
    tenant = tenants.ensure(connection, name)
    if changes:
        tenants.set_limits(connection, tenant.id, **changes)
    audit.add(
        connection,
        actor=actor,
        action="tenant.limits",
        tenant_id=tenant.id,
        object=name,
        data=dict(changes),
        request_id=request_id,
    )
