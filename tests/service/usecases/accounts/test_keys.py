"""Keys in the database."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from service.problems import ServiceError
from service.store.db import audit, keys
from service.store.db.engine import Database
from service.usecases.accounts.authentication import by_key, by_session, log_in, without_key
from service.usecases.accounts.keys import create, first_admin_key
from service.usecases.accounts.principal import Principal


def test_the_first_start_makes_one_key_and_later_starts_none(database: Database) -> None:
    text = first_admin_key(database)
    assert text is not None
    assert first_admin_key(database) is None
    principal = by_key(database, text)
    assert principal is not None
    assert principal.may("admin")


def test_servers_that_start_at_the_same_moment_make_one_key(database: Database) -> None:
    start = threading.Barrier(6)

    def first(_: int) -> str | None:
        start.wait()
        return first_admin_key(database)

    with ThreadPoolExecutor(6) as pool:
        assert len([text for text in pool.map(first, range(6)) if text is not None]) == 1


def test_a_lost_key_is_replaced_once_the_last_one_is_revoked(database: Database) -> None:
    principal = by_key(database, first_admin_key(database) or "")
    assert principal is not None
    with database.writing() as connection:
        keys.revoke(connection, principal.tenant_id, principal.key_id or "")
    assert first_admin_key(database) is not None


def test_use_is_noted_and_everything_about_keys_is_audited(database: Database) -> None:
    text = first_admin_key(database) or ""
    principal = by_key(database, text)
    assert principal is not None
    assert log_in(database, text, hours=1.0) is not None
    with database.reading() as connection:
        (row,) = keys.page(connection, principal.tenant_id).rows
        entries = audit.page(connection, principal.tenant_id).rows
    assert row.last_used is not None
    assert [entry.action for entry in entries] == ["login", "key.create"]
    assert text not in repr(entries)


def test_a_key_that_has_ended_already_is_not_made(sqlite_database: Database) -> None:
    principal = without_key(sqlite_database)
    moment = datetime.now(UTC)
    with sqlite_database.writing() as connection, pytest.raises(ServiceError, match="expired already"):
        create(connection, principal, name="x", scopes=["read"], expires=moment - timedelta(days=1), moment=moment)


def test_the_same_login_is_nobody_elses(database: Database) -> None:
    token = log_in(database, first_admin_key(database) or "", hours=1.0)
    assert token is not None
    found = by_session(database, token)
    assert isinstance(found, Principal)
    assert by_session(database, token[:-1] + ("a" if token[-1] != "a" else "b")) is None
    assert log_in(database, "bbk_nothing", hours=1.0) is None
    assert log_in(database, "", hours=0.001) is None
