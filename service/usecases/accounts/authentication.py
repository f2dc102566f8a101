"""From what a request carries (a key, or the cookie of a login) to a principal."""

from __future__ import annotations

import hmac

from service.store.db import audit, keys, sessions, tenants
from service.store.db.engine import Database
from service.store.db.keys import Key
from service.usecases.accounts.principal import LOCAL_TENANT, SCOPES, Principal, widened
from service.usecases.accounts.tokens import digest_of, is_session, new_session, read_key


def by_key(database: Database, text: str) -> Principal | None:
    """Return whom a key stands for; None if it is malformed, unknown, expired or revoked.

    That the key was used is noted now and then.
    """
    key = _live_key(database, text)
    if key is None:
        return None
    with database.reading() as connection:
        is_due = keys.is_due(connection, key.id)
    if is_due:
        with database.writing() as connection:
            keys.touch(connection, key.id)
    return Principal(tenant_id=key.tenant_id, actor=key.prefix, key_id=key.id, scopes=widened(key.scopes))


def by_session(database: Database, text: str) -> Principal | None:
    """Return whom the cookie of a login stands for; None if it has ended or its key has."""
    if not is_session(text):
        return None
    digest = digest_of(text)
    with database.reading() as connection:
        login = sessions.find(connection, digest)
        key = None if login is None else keys.get(connection, login.tenant_id, login.key_id)
    if login is None or key is None:
        return None
    return Principal(
        tenant_id=login.tenant_id,
        actor=key.prefix,
        key_id=login.key_id,
        scopes=widened(login.scopes),
        session=digest,
    )


def without_key(database: Database) -> Principal:
    """Return the one user of a server that was started without authentication."""
    with database.reading() as connection:
        tenant = tenants.by_name(connection, LOCAL_TENANT)
    if tenant is None:
        with database.writing() as connection:
            tenant = tenants.ensure(connection, LOCAL_TENANT)
    return Principal(tenant_id=tenant.id, actor="local", key_id=None, scopes=frozenset(SCOPES))


def log_in(database: Database, text: str, *, hours: float) -> str | None:
    """Exchange a key for the token of a login that lasts ``hours``; None if the key is not valid."""
    key = _live_key(database, text)
    if key is None:
        return None
    token = new_session()
    with database.writing() as connection:
        sessions.add(connection, tenant_id=key.tenant_id, key_id=key.id, token_sha256=digest_of(token), hours=hours)
        audit.add(connection, actor=key.prefix, action="login", tenant_id=key.tenant_id, object=key.prefix)
    return token


def log_out(database: Database, principal: Principal) -> None:
    """End the login that the request came with."""
    if principal.session is None:
        return
    with database.writing() as connection:
        sessions.revoke(connection, principal.session)
        audit.add(connection, actor=principal.actor, action="logout", tenant_id=principal.tenant_id)


def _live_key(database: Database, text: str) -> Key | None:
    token = read_key(text)
    if token is None:
        return None
    with database.reading() as connection:
        key = keys.find(connection, token.prefix)
    matches = hmac.compare_digest(token.digest, key.secret_sha256 if key is not None else "0" * 64)
    return key if key is not None and key.is_live and matches else None
