"""What a tenant may store: a refusal when it is used up, one warning a day before, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.store.blobs.store import BlobStore
from service.store.db import audit, blobs, deliveries, webhooks
from service.store.db.engine import Database
from service.store.db.schema import audit as audit_table
from service.store.db.schema import blobs as blob_table
from service.store.retention.quota import over_quota, watch_quota
from service.store.retention.upkeep import keep_up
from service.store.settings import Settings
from service.store.uploads import put
from service.usecases.webhooks.signatures import new_secret
from tests.service.store.db.rows import digest, set_back, tenant

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def store_bytes(database: Database, n_bytes: int, name: str = "acme") -> str:
    with database.writing() as connection:
        owner = tenant(connection, name)
        blobs.put(connection, owner, digest(f"{name} {n_bytes}"), n_bytes)
    return owner


def test_what_is_used_and_what_comes_must_fit_together(database: Database) -> None:
    mine = store_bytes(database, 60)
    with database.reading() as connection:
        assert over_quota(connection, mine, None, 10**12) is None
        assert over_quota(connection, mine, 100, 40) is None
        assert over_quota(connection, mine, 100, 41) == "60 bytes of 100 are used and 41 more are asked for."
        assert over_quota(connection, mine, 61) is None
        assert over_quota(connection, mine, 60) == "All 60 bytes are used."


def test_another_tenant_s_bytes_do_not_count(database: Database) -> None:
    mine = store_bytes(database, 10)
    store_bytes(database, 1000, "other")
    with database.reading() as connection:
        assert over_quota(connection, mine, 100, 50) is None


def test_four_fifths_are_told_once_a_day(database: Database) -> None:
    mine = store_bytes(database, 80)
    with database.writing() as connection:
        hook = webhooks.add(connection, tenant_id=mine, url="https://example.com/", secrets=[new_secret()])
        assert not watch_quota(connection, mine, None)
        assert not watch_quota(connection, mine, 101)
        assert watch_quota(connection, mine, 100)
        assert not watch_quota(connection, mine, 100)
        entry = audit.page(connection, mine).rows[0]
        assert (entry.action, entry.data) == ("quota.warning", {"used_bytes": 80, "quota_bytes": 100})
        (told,) = deliveries.page(connection, mine, hook.id).rows
        assert (told.kind, told.payload) == ("storage.quota", {"used_bytes": 80, "quota_bytes": 100})
    with database.writing() as connection:
        set_back(connection, audit_table, "created", DAY + 1)
    with database.writing() as connection:
        assert watch_quota(connection, mine, 100)


def test_a_round_forgets_condemns_deletes_and_warns(database: Database, store: BlobStore) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
    found = put(database, store, mine, b"12345")
    settings = Settings(tenant_quota_bytes=5)
    first = keep_up(database, store, settings)
    assert (first["condemned"], first["blobs"], first["warnings"]) == (0, 0, 1)
    with database.writing() as connection:
        set_back(connection, blob_table, "last_used", DAY + 1)
    assert keep_up(database, store, settings)["condemned"] == 1
    assert store.read(found) == b"12345"
    with database.writing() as connection:
        set_back(connection, blob_table, "condemned", DAY + 1)
    last = keep_up(database, store, settings)
    assert (last["blobs"], last["bytes"], last["warnings"]) == (1, 5, 0)
    with database.reading() as connection:
        assert over_quota(connection, mine, 5, 5) is None
