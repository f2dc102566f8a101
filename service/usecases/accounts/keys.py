"""API keys as users handle them: made and shown once, listed by prefix, revoked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from service.contract import Scope
from service.problems import Pointer, ServiceError, not_found
from service.store.db import audit, keys, tenants
from service.store.db.engine import Database
from service.store.db.ids import is_id
from service.store.db.keys import Key
from service.store.db.pages import Page
from service.usecases.accounts.principal import LOCAL_TENANT, Principal
from service.usecases.accounts.tokens import new_key

SYSTEM = "system"
_ALL: tuple[Scope, ...] = ("admin", "operator")


@dataclass(frozen=True)
class NewKey:
    """A key that was just made.

    Attributes:
        key: Its row.
        text: The key itself; it is not stored and cannot be shown again.
    """

    key: Key
    text: str = field(repr=False)


def make_key(
    connection: Connection,
    *,
    tenant_id: str,
    name: str,
    scopes: Collection[Scope],
    actor: str,
    expires: datetime | None = None,
) -> NewKey:
    """Make a key of a tenant.

    Args:
        connection: Writing transaction.
        tenant_id: Whose rows it opens.
        name: What its owner calls it.
        scopes: What it may do.
        actor: Who makes it, for the audit.
        expires: When it ends by itself; None never.
    """
    token = new_key()
    key = keys.add(
        connection,
        tenant_id=tenant_id,
        prefix=token.prefix,
        secret_sha256=token.digest,
        name=name,
        scopes=scopes,
        expires=expires,
    )
    audit.add(connection, actor=actor, action="key.create", tenant_id=tenant_id, object=key.prefix)
    return NewKey(key, token.text)


def first_admin_key(database: Database) -> str | None:
    """Make the key that the first start prints; None where a live administrator's key exists."""
    with database.writing() as connection:
        tenant = tenants.ensure(connection, LOCAL_TENANT)
        tenants.lock(connection, tenant.id)  # another server may start at the same moment
        if keys.count_live(connection, "admin"):
            return None
        made = make_key(connection, tenant_id=tenant.id, name="first start", scopes=_ALL, actor=SYSTEM)
        return made.text


def create(
    connection: Connection,
    principal: Principal,
    *,
    name: str,
    scopes: Collection[Scope],
    expires: datetime | None,
    moment: datetime,
) -> NewKey:
    """Make a key for the caller's tenant.

    Raises:
        ServiceError: ``invalid-request`` if it would have ended already, ``forbidden`` if it may more than its maker.
    """
    for scope in scopes:
        principal.require(scope)
    return create_for(
        connection,
        tenant_id=principal.tenant_id,
        actor=principal.actor,
        name=name,
        scopes=scopes,
        expires=expires,
        moment=moment,
    )


def create_for(
    connection: Connection,
    *,
    tenant_id: str,
    actor: str,
    name: str,
    scopes: Collection[Scope],
    expires: datetime | None,
    moment: datetime,
) -> NewKey:
    """Make a key for a tenant, whoever asks; arguments as for ``make_key``, ``moment`` is now.

    Raises:
        ServiceError: ``invalid-request`` if it would have ended already.
    """
    if expires is not None and expires <= moment:
        raise ServiceError(
            "invalid-request",
            "The key would have expired already.",
            pointers=[Pointer("/expires", f"must lie after {moment.isoformat(timespec='seconds')}")],
        )
    return make_key(connection, tenant_id=tenant_id, name=name, scopes=scopes, actor=actor, expires=expires)


def listing(connection: Connection, principal: Principal, *, cursor: str | None, limit: int) -> Page[Key]:
    """Return the keys of the caller's tenant, newest first."""
    return keys.page(connection, principal.tenant_id, cursor=cursor, limit=limit)


def get(connection: Connection, principal: Principal, key_id: str) -> Key:
    """Return a key of the caller's tenant.

    Raises:
        ServiceError: ``not-found``.
    """
    found = keys.get(connection, principal.tenant_id, key_id) if is_id(key_id) else None
    if found is None:
        raise not_found("key")
    return found


def revoke(connection: Connection, principal: Principal, key_id: str) -> Key:
    """End a key of the caller's tenant, its logins with it; ending it twice changes nothing.

    Raises:
        ServiceError: ``not-found``, ``in-use`` for the key of the request itself: nobody locks himself out.
    """
    key = get(connection, principal, key_id)
    if key.id == principal.key_id:
        raise ServiceError("in-use", "A key cannot revoke itself. Make another one and revoke this one with it.")
    if keys.revoke(connection, principal.tenant_id, key.id):
        audit.add(
            connection,
            actor=principal.actor,
            action="key.revoke",
            tenant_id=principal.tenant_id,
            object=key.prefix,
        )
    return get(connection, principal, key_id)
