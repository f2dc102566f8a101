"""Deleting blobs: never one that is needed, and in the end everything that is not."""

from __future__ import annotations

import random
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.store.blobs.errors import BlobNotFoundError
from service.store.blobs.store import BlobStore
from service.store.db import blobs
from service.store.db.engine import Database
from service.store.db.errors import MissingBlobError
from service.store.db.schema import blobs as blob_table
from service.store.retention.collection import Collected, collect, finish_deletion
from service.store.uploads import put
from tests.service.databases import new_database
from tests.service.store.db.rows import digest, set_back, tenant

DAY = 86400.0
TEXTS = [f"blob {n}" for n in range(4)]
HOLDERS = ["study a", "study b"]


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def age(database: Database) -> None:
    """Let more than the grace time pass."""
    with database.writing() as connection:
        set_back(connection, blob_table, "last_used", 2 * DAY)
        set_back(connection, blob_table, "condemned", 2 * DAY)


def owner(database: Database) -> str:
    with database.writing() as connection:
        return tenant(connection)


def test_an_unneeded_blob_goes_in_two_cycles_each_after_its_grace(database: Database, store: BlobStore) -> None:
    mine = owner(database)
    found = put(database, store, mine, b"12345")
    assert collect(database, store, grace_s=DAY) == Collected(0, 0, 0, 0)
    age(database)
    assert collect(database, store, grace_s=DAY) == Collected(1, 0, 0, 0)
    assert collect(database, store, grace_s=DAY) == Collected(0, 0, 0, 0)
    age(database)
    assert collect(database, store, grace_s=DAY) == Collected(0, 1, 5, 0)
    with database.reading() as connection:
        assert blobs.find(connection, mine, found) is None
        assert blobs.totals(connection) == {}
    with pytest.raises(BlobNotFoundError):
        store.path(found)


def test_a_condemned_blob_lives_again_once_it_is_used(database: Database, store: BlobStore) -> None:
    mine = owner(database)
    found = put(database, store, mine, b"1")
    for use in ("claim", "refer", "upload"):
        age(database)
        collect(database, store, grace_s=DAY)
        with database.writing() as connection:
            assert blobs.totals(connection) == {"condemned": (1, 1)}
            if use == "claim":
                assert blobs.claim(connection, mine, found)
            elif use == "refer":
                blobs.refer(connection, mine, "input", "study a", [found])
                blobs.release(connection, ["input"], "study a")
        if use == "upload":
            put(database, store, mine, b"1")
        with database.reading() as connection:
            assert blobs.totals(connection) == {"live": (1, 1)}
        assert collect(database, store, grace_s=DAY).deleted == 0


def test_a_needed_blob_stays_however_old_it_is(database: Database, store: BlobStore) -> None:
    mine = owner(database)
    found = put(database, store, mine, b"1")
    with database.writing() as connection:
        blobs.refer(connection, mine, "input", "study a", [found, found])
    for _ in range(4):
        age(database)
        assert collect(database, store, grace_s=DAY) == Collected(0, 0, 0, 0)
    assert store.read(found) == b"1"


def test_a_blob_being_deleted_is_gone_for_everybody_until_it_is_uploaded_again(
    database: Database, store: BlobStore
) -> None:
    mine = owner(database)
    found = put(database, store, mine, b"1")
    age(database)
    collect(database, store, grace_s=DAY)
    with database.writing() as connection:
        assert blobs.begin_deletion(connection, found)
    with database.writing() as connection:
        assert blobs.find(connection, mine, found) is None
        assert not blobs.claim(connection, mine, found)
        with pytest.raises(MissingBlobError):
            blobs.refer(connection, mine, "input", "study a", [found])
        assert blobs.usage(connection, mine) == 0
    put(database, store, mine, b"1")
    assert finish_deletion(database, store, found) is None
    assert store.read(found) == b"1"
    with database.writing() as connection:
        blobs.refer(connection, mine, "input", "study a", [found])
        assert blobs.usage(connection, mine) == 1


def test_a_deletion_cut_off_by_a_crash_is_finished_by_the_next_cycle(database: Database, store: BlobStore) -> None:
    found = put(database, store, owner(database), b"1")
    age(database)
    collect(database, store, grace_s=DAY)
    with database.writing() as connection:
        blobs.begin_deletion(connection, found)
    store.delete(found)  # and then the process died
    assert collect(database, store, grace_s=DAY).deleted == 1
    with database.reading() as connection:
        assert blobs.totals(connection) == {}


def test_another_tenants_blob_is_not_there(database: Database, store: BlobStore) -> None:
    with database.writing() as connection:
        mine, theirs = tenant(connection), tenant(connection, "other")
    found = put(database, store, mine, b"1")
    with database.writing() as connection:
        assert blobs.find(connection, theirs, found) is None
        assert not blobs.claim(connection, theirs, found)
        with pytest.raises(MissingBlobError):
            blobs.refer(connection, theirs, "input", "study a", [found])
    put(database, store, theirs, b"1")
    with database.reading() as connection:
        assert blobs.find(connection, theirs, found) is not None


def test_a_blob_whose_file_cannot_be_kept_has_no_row(
    database: Database, store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = owner(database)

    def fail(staged: object) -> None:
        raise OSError("No space")

    monkeypatch.setattr(store, "keep", fail)
    with pytest.raises(OSError, match="No space"):
        put(database, store, mine, b"1")
    with database.reading() as connection:
        assert blobs.totals(connection) == {}
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


class Interleavings(RuleBasedStateMachine):
    """Uploads, references and the steps of two deletions in any order, with crashes in between."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="bitbudget-collection-"))
        self.context = new_database("sqlite")
        self.database = self.context.__enter__()
        self.store = BlobStore(self.folder / "blobs")
        self.owner = owner(self.database)
        self.needed: dict[str, set[str]] = {holder: set() for holder in HOLDERS}
        self.due: list[str] = []
        self.begun: list[str] = []

    @rule(text=st.sampled_from(TEXTS))
    def upload(self, text: str) -> None:
        put(self.database, self.store, self.owner, text.encode())

    @rule(texts=st.sets(st.sampled_from(TEXTS), min_size=1), holder=st.sampled_from(HOLDERS))
    def refer(self, texts: set[str], holder: str) -> None:
        wanted = sorted(map(digest, texts))
        with self.database.writing() as connection:
            missing = [one for one in wanted if blobs.find(connection, self.owner, one) is None]
            if missing:
                with pytest.raises(MissingBlobError) as caught:
                    blobs.refer(connection, self.owner, "input", holder, wanted)
                assert list(caught.value.digests) == missing
            else:
                blobs.refer(connection, self.owner, "input", holder, wanted)
                self.needed[holder] |= texts

    @rule(holder=st.sampled_from(HOLDERS))
    def release(self, holder: str) -> None:
        with self.database.writing() as connection:
            assert blobs.release(connection, ["input"], holder) == len(self.needed[holder])
        self.needed[holder] = set()

    @rule()
    def time_passes(self) -> None:
        age(self.database)

    @rule()
    def condemn(self) -> None:
        with self.database.writing() as connection:
            blobs.condemn(connection, DAY)

    @rule()
    def look_for_due(self) -> None:
        with self.database.reading() as connection:
            self.due += blobs.condemned(connection, DAY)

    @precondition(lambda self: self.due)
    @rule()
    def begin(self) -> None:
        found = self.due.pop(0)
        with self.database.writing() as connection:
            if blobs.begin_deletion(connection, found):
                self.begun.append(found)

    @precondition(lambda self: self.begun)
    @rule(crashes=st.booleans())
    def finish(self, crashes: bool) -> None:
        found = self.begun.pop(0)
        if not crashes:
            finish_deletion(self.database, self.store, found)
            return
        with self.database.engine.connect() as connection:  # rolled back after the file is gone
            if blobs.lock_deleting(connection, found) is not None:
                self.store.delete(found)

    @invariant()
    def what_is_needed_is_there(self) -> None:
        with self.database.reading() as connection:
            for text in set().union(*self.needed.values()):
                found = blobs.find(connection, self.owner, digest(text))
                assert found is not None
                assert found.size == len(text)
                assert self.store.read(digest(text)) == text.encode()
            for usable in blobs.sizes(connection):
                self.store.path(usable)

    def teardown(self) -> None:
        for _ in range(2):
            age(self.database)
            collect(self.database, self.store, grace_s=DAY)
        left = {name for name, _ in self.store.digests()}
        assert left == {digest(text) for text in set().union(*self.needed.values())}
        self.context.__exit__(None, None, None)
        shutil.rmtree(self.folder)


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(max_examples=15, stateful_step_count=40)


@pytest.mark.slow
class TestTenThousandSteps(Interleavings.TestCase):
    """The same for longer."""

    settings = settings(max_examples=250, stateful_step_count=40)


def use(database: Database, store: BlobStore, owner_id: str, name: str) -> None:
    """A user that uploads, refers, reads and releases."""
    dice = random.Random(name)
    for _ in range(25):
        text = dice.choice(TEXTS)
        put(database, store, owner_id, text.encode())
        try:
            with database.writing() as connection:
                blobs.refer(connection, owner_id, "input", name, [digest(text)])
        except MissingBlobError:
            continue  # collected in between: there is no grace here
        assert store.read(digest(text)) == text.encode()
        with database.writing() as connection:
            blobs.release(connection, ["input"], name)


def test_real_threads_lose_no_needed_blob(database: Database, store: BlobStore) -> None:
    """Collectors with no grace at all against users."""
    mine = owner(database)
    with ThreadPoolExecutor(5) as pool:
        users = [pool.submit(use, database, store, mine, f"study {n}") for n in range(3)]

        def clean() -> None:
            while not all(user.done() for user in users):
                collect(database, store, grace_s=-60.0)

        cleaners = [pool.submit(clean) for _ in range(2)]
        for future in (*users, *cleaners):
            future.result()
    for _ in range(2):
        collect(database, store, grace_s=-60.0)
    assert list(store.digests()) == []
