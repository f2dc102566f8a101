"""What is forgotten with time, and comparing files with rows, on both databases."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.store.blobs.store import BlobStore
from service.store.db import artifacts, audit, blobs, items, studies
from service.store.db.collections import DATASETS, MODELS
from service.store.db.engine import Database
from service.store.db.errors import MissingBlobError
from service.store.db.schema import datasets as dataset_table
from service.store.db.schema import studies as study_table
from service.store.inspection import delete_extra, inspect
from service.store.retention.expiry import sweep
from service.store.settings import Settings
from service.store.uploads import put
from tests.service.store.db.rows import OTHER, blob, digest, item, set_back, study, tenant

DAY = 86400.0


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def test_models_and_data_sets_keep_their_blobs(database: Database) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
        one, two = blob(connection, mine, "one"), blob(connection, mine, "three")
        model = MODELS.add(connection, tenant_id=mine, digest=one, files={"weights.bin": two}, name="net")
        data = DATASETS.add(connection, tenant_id=mine, files={"x/0.npy": two, "x/1.npy": two})
        assert (model.size, data.size, data.digest) == (8, 10, None)
        assert blobs.needed_by(connection, model.id) == {one, two}
        assert MODELS.get(connection, mine, model.id) == model
        assert MODELS.get(connection, theirs, model.id) is None
        assert MODELS.get(connection, mine, data.id) is None
        assert MODELS.page(connection, mine).rows == (model,)
        assert DATASETS.page(connection, theirs).rows == ()
        assert not MODELS.delete(connection, theirs, model.id)
        assert MODELS.delete(connection, mine, model.id)
        assert blobs.needed_by(connection, model.id) == frozenset()
        with pytest.raises(MissingBlobError):
            DATASETS.add(connection, tenant_id=theirs, files={"a": one})
        with pytest.raises(ValueError, match="A model has the digest of its file"):
            MODELS.add(connection, tenant_id=mine, files={})


def test_data_sets_are_forgotten_after_their_last_use_unless_pinned(database: Database) -> None:
    settings = Settings(dataset_days=30)
    with database.writing() as connection:
        mine = tenant(connection)
        found = blob(connection, mine, "one")
        old, pinned, used = (DATASETS.add(connection, tenant_id=mine, files={"a": found}) for _ in range(3))
        assert DATASETS.pin(connection, mine, pinned.id, pinned=True)
        assert not DATASETS.pin(connection, OTHER, pinned.id, pinned=False)
        set_back(connection, dataset_table, "last_used", 31 * DAY)
        DATASETS.touch(connection, used.id)
    assert sweep(database, settings)["datasets"] == 1
    with database.reading() as connection:
        assert DATASETS.get(connection, mine, old.id) is None
        assert {one.id for one in DATASETS.page(connection, mine).rows} == {pinned.id, used.id}
        assert blobs.needed_by(connection, old.id) == frozenset()
        assert blobs.needed_by(connection, used.id) == {found}


def test_arrays_of_ended_studies_are_given_up_and_artifacts_stay(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        array, file = blob(connection, mine, "array"), blob(connection, mine, "file")
        ended, going = study(connection, mine), study(connection, mine)
        for one in (ended, going):
            where = {"study_id": one.id, "tenant_id": mine}
            items.put(connection, **where, result=item("i", blobs={"a": array}))
            artifacts.put(connection, **where, name="result.json", digest=file, size=4, media_type="text/plain")
        studies.transition(connection, ended.id, expect={"queued"}, to="cancelled")
    assert sweep(database, Settings())["arrays"] == 0
    with database.writing() as connection:
        set_back(connection, study_table, "finished", 15 * DAY)
    assert sweep(database, Settings())["arrays"] == 1
    assert sweep(database, Settings())["arrays"] == 0
    with database.reading() as connection:
        assert blobs.needed_by(connection, ended.id) == {file}
        assert blobs.needed_by(connection, going.id) == {array, file}
        assert len(items.read(connection, ended.id)) == 1


def test_ended_studies_are_deleted_only_if_the_administrator_says_so(database: Database) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
        ended, _ = study(connection, mine), study(connection, mine)
        studies.transition(connection, ended.id, expect={"queued"}, to="cancelled")
        set_back(connection, study_table, "finished", 100 * DAY)
    assert sweep(database, Settings())["studies"] == 0
    assert sweep(database, Settings(study_days=99))["studies"] == 1
    with database.reading() as connection:
        assert studies.load(connection, ended.id) is None
        assert audit.page(connection, mine).rows[0].object == ended.id


def test_missing_damaged_and_forgotten_files_are_found(database: Database, store: BlobStore) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
    sound, lost, short, changed = (put(database, store, mine, text) for text in (b"1", b"22", b"333", b"4444"))
    assert inspect(database, store, read_all=True).is_sound
    store.delete(lost)
    for name, text in ((short, b"3"), (changed, b"4445")):
        store.path(name).chmod(0o640)
        store.path(name).write_bytes(text)
    for text, moment in ((b"extra", 0.0), (b"young", None)):
        staged = store.stage([text])
        store.keep(staged)
        if moment is not None:
            os.utime(store.path(staged.digest), (moment, moment))
    found = inspect(database, store)
    assert (found.missing, found.corrupt, found.extra) == ((lost,), (short,), (digest("extra"),))
    assert set(inspect(database, store, read_all=True).corrupt) == {short, changed}
    assert not found.is_sound
    assert delete_extra(database, store, found) == 1
    assert {name for name, _ in store.digests()} == {sound, short, changed, digest("young")}
    assert delete_extra(database, store, found) == 0
    with database.reading() as connection:
        assert digest("extra") not in blobs.sizes(connection)


def test_a_file_whose_row_has_come_meanwhile_is_not_deleted(database: Database, store: BlobStore) -> None:
    with database.writing() as connection:
        mine = tenant(connection)
    staged = store.stage([b"extra"])
    store.keep(staged)
    os.utime(store.path(staged.digest), (0, 0))
    found = inspect(database, store)
    put(database, store, mine, b"extra")
    assert delete_extra(database, store, found) == 0
    assert store.read(staged.digest) == b"extra"
