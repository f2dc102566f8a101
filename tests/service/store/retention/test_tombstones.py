"""Deleting a study: rows gone, bytes given up, an entry that says what it was, on both databases."""

from __future__ import annotations

from service.store.db import artifacts, audit, blobs, deliveries, studies, webhooks
from service.store.db.engine import Database
from service.store.retention.tombstones import bury
from service.usecases.webhooks.signatures import new_secret
from tests.service.store.db.rows import blob, study, tenant


def test_a_deleted_study_leaves_a_tombstone_and_tells(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        hook = webhooks.add(
            connection, tenant_id=mine, url="https://example.com/", secrets=[new_secret()], kinds=["study.deleted"]
        )
        file = blob(connection, mine, "file")
        made = study(connection, mine, name="night run")
        artifacts.put(
            connection, study_id=made.id, tenant_id=mine, name="a", digest=file, size=4, media_type="text/csv"
        )
        assert not bury(connection, made, actor="me")
        ended = studies.transition(connection, made.id, expect={"queued"}, to="cancelled")
        assert ended is not None
        assert bury(connection, ended, actor="me", request_id="r")
        assert not bury(connection, ended, actor="me")
        assert studies.load(connection, made.id) is None
        assert blobs.needed_by(connection, made.id) == frozenset()
        (entry,) = audit.page(connection, mine).rows
        assert (entry.actor, entry.action, entry.object, entry.request_id) == ("me", "study.delete", made.id, "r")
        assert entry.data is not None
        assert (entry.data["name"], entry.data["state"], entry.data["target"]) == ("night run", "cancelled", "j6m")
        assert entry.data["finished"].startswith("20")
        (told,) = deliveries.page(connection, mine, hook.id).rows
        assert (told.kind, told.payload["id"]) == ("study.deleted", made.id)
