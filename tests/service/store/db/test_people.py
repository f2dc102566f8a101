"""Tenants, keys, logins, audit, idempotency, on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy.engine import Connection

from service.store.db import audit, idempotency, keys, sessions, studies, tenants
from service.store.db.engine import Database
from service.store.db.idempotency import Answer
from service.store.db.keys import Key
from service.store.db.schema import idempotency as idempotency_table
from service.store.db.schema import keys as key_table
from service.store.db.schema import sessions as session_table
from tests.service.store.db.rows import OTHER, digest, set_back, study, tenant


def key(connection: Connection, tenant_id: str, prefix: str = "bb_abc", **changes: object) -> Key:
    values = {"prefix": prefix, "secret_sha256": digest(prefix), "name": "ci", "scopes": ["submit", "read"], **changes}
    return keys.add(connection, tenant_id=tenant_id, **values)  # type: ignore[arg-type]


def test_a_tenant_is_made_once(database: Database) -> None:
    with database.writing() as connection:
        one = tenants.ensure(connection, "acme")
        assert tenants.ensure(connection, "acme") == one
        assert tenants.get(connection, one.id) == one
        assert tenants.by_name(connection, "nobody") is None
        assert tenants.get(connection, OTHER) is None
        two = tenants.ensure(connection, "Zürich")
        assert set(tenants.listing(connection)) == {one, two}


def test_a_key_is_found_by_prefix_until_it_is_revoked(database: Database) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
        made = key(connection, mine)
        assert made.scopes == ("read", "submit")
        assert made.is_live
        assert keys.find(connection, "bb_abc") == made
        assert keys.find(connection, "bb_abd") is None
        assert keys.get(connection, theirs, made.id) is None
        assert not keys.revoke(connection, theirs, made.id)
        assert keys.count_live(connection) == 1
        assert keys.count_live(connection, "admin") == 0
        assert keys.revoke(connection, mine, made.id)
        assert not keys.revoke(connection, mine, made.id)
        found = keys.get(connection, mine, made.id)
        assert keys.count_live(connection) == 0
    assert found is not None
    assert not found.is_live


def test_a_key_expires_by_the_clock_of_the_database(database: Database) -> None:
    east = timezone(timedelta(hours=9))
    moment = datetime.now(UTC)
    with database.writing() as connection:
        mine = tenant(connection)
        past = key(connection, mine, "a", expires=(moment - timedelta(seconds=5)).astimezone(east))
        future = key(connection, mine, "b", expires=(moment + timedelta(seconds=60)).astimezone(east))
    assert not past.is_live
    assert future.is_live
    assert future.expires is not None
    assert abs(future.expires - moment - timedelta(seconds=60)) < timedelta(milliseconds=1)


def test_a_time_without_zone_is_a_mistake(sqlite_database: Database) -> None:
    with sqlite_database.writing() as connection:
        mine = tenant(connection)
        with pytest.raises(Exception, match="A time without zone cannot be stored"):
            key(connection, mine, expires=datetime(2030, 1, 1))


def test_unknown_scopes_are_refused(sqlite_database: Database) -> None:
    with sqlite_database.writing() as connection:
        mine = tenant(connection)
        for scopes in (["root"], []):
            with pytest.raises(ValueError, match="Scopes must be some of metrics, read, submit, admin, operator"):
                key(connection, mine, scopes=scopes)


def test_a_use_is_noted_at_most_once_a_minute(database: Database) -> None:
    with database.writing() as connection:
        made = key(connection, tenant(connection))
        assert keys.is_due(connection, made.id)
        keys.touch(connection, made.id)
        assert not keys.is_due(connection, made.id)
        set_back(connection, key_table, "last_used", 61.0)
        assert keys.is_due(connection, made.id)


def test_keys_are_listed_per_tenant(database: Database) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
        made = {key(connection, mine, f"k{n}").id for n in range(3)}
        key(connection, theirs, "x")
        first = keys.page(connection, mine, limit=2)
        rest = keys.page(connection, mine, cursor=first.next, limit=2)
        assert {one.id for one in (*first.rows, *rest.rows)} == made
        assert len(keys.page(connection).rows) == 4


def test_a_login_ends_with_its_time_its_revocation_or_its_key(database: Database) -> None:
    with database.writing() as connection:
        made = key(connection, tenant(connection))

        def login(token: str) -> sessions.Session:
            return sessions.add(
                connection, tenant_id=made.tenant_id, key_id=made.id, token_sha256=digest(token), hours=12.0
            )

        one = login("a")
        assert sessions.find(connection, digest("a")) == one
        assert timedelta(hours=11.9) < one.expires - one.created <= timedelta(hours=12, seconds=1)
        assert one.scopes == made.scopes
        assert sessions.revoke(connection, digest("a"))
        assert not sessions.revoke(connection, digest("a"))
        assert sessions.find(connection, digest("a")) is None
        login("b")
        set_back(connection, session_table, "expires", 1.0)
        assert sessions.find(connection, digest("b")) is None
        assert sessions.forget_ended(connection) == 2
        login("c")
        keys.revoke(connection, made.tenant_id, made.id)
        assert sessions.find(connection, digest("c")) is None
        with pytest.raises(ValueError, match="no longer valid"):
            login("d")


def test_the_audit_log_outlives_its_objects(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        for n in range(3):
            audit.add(connection, actor="key:1", action="study.submit", tenant_id=mine, object=f"study:{n}")
        audit.add(connection, actor="command line", action="key.add", data={"scopes": ["admin"]}, request_id="r")
        first = audit.page(connection, mine, limit=2)
        rest = audit.page(connection, mine, cursor=first.next)
        assert [entry.object for entry in (*first.rows, *rest.rows)] == ["study:2", "study:1", "study:0"]
        everything = audit.page(connection, None).rows
    assert (everything[0].actor, everything[0].data, everything[0].request_id) == (
        "command line",
        {"scopes": ["admin"]},
        "r",
    )


def submit(database: Database, mine: str, body: str = "body") -> tuple[bool, object]:
    """What the API does with an Idempotency-Key."""
    where = {"tenant_id": mine, "route": "POST /v1/studies", "key": "k"}
    with database.writing() as connection:
        claim = idempotency.claim(connection, **where, body_sha256=digest(body))
        if not claim.is_new:
            return claim.same_body, claim.answer
        made = study(connection, mine)
        given = Answer(202, {"Location": f"/v1/studies/{made.id}"}, {"id": made.id, "x": None})
        idempotency.answer(connection, **where, given=given)
        return True, given


def test_a_hundred_requests_with_one_key_submit_one_study(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
    answers: list[tuple[bool, object]] = []
    threads = [threading.Thread(target=lambda: answers.append(submit(database, mine))) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 100
    assert all(answer == answers[0] for answer in answers)
    with database.reading() as connection:
        assert studies.n_open(connection, mine) == 1


def test_another_body_under_the_same_key_is_told_apart_and_keys_are_forgotten(database: Database) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
    _, first = submit(database, mine)
    assert submit(database, mine, "another") == (False, first)
    assert submit(database, theirs)[1] != first
    with database.writing() as connection:
        assert idempotency.forget(connection, 3600.0) == 0
        set_back(connection, idempotency_table, "created", 3601.0)
        assert idempotency.forget(connection, 3600.0) == 2
    assert submit(database, mine, "another")[1] != first


def test_a_failed_request_leaves_its_key_free(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
    where = {"tenant_id": mine, "route": "POST /v1/studies", "key": "k"}
    with pytest.raises(ZeroDivisionError):  # noqa: PT012, SIM117
        with database.writing() as connection:
            idempotency.claim(connection, **where, body_sha256=digest("body"))
            raise ZeroDivisionError
    with database.writing() as connection:
        assert idempotency.claim(connection, **where, body_sha256=digest("body")).is_new
