"""The blob store: whole files under their digests, nothing left of what went wrong."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.blobs.errors import (
    BlobNotFoundError,
    BlobTooLargeError,
    CorruptBlobError,
    DigestMismatchError,
    StorageFullError,
)
from service.store.blobs.store import BlobStore, is_digest

DATA = b"some bytes"
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def files(store: BlobStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


def kept(store: BlobStore, data: bytes = DATA) -> str:
    staged = store.stage([data])
    store.keep(staged)
    return staged.digest


@given(chunks=st.lists(st.binary(max_size=50), max_size=8))
def test_what_was_stored_is_read_back_however_it_was_cut(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]
) -> None:
    store = BlobStore(tmp_path_factory.getbasetemp() / "given")
    data = b"".join(chunks)
    staged = store.stage(chunks, limit=len(data), expected=hashlib.sha256(data).hexdigest())
    store.keep(staged)
    assert (staged.size, store.size(staged.digest), store.read(staged.digest)) == (len(data), len(data), data)


def test_a_blob_lies_under_its_digest_read_only_and_without_a_second_name(store: BlobStore) -> None:
    digest = kept(store)
    assert files(store) == [f"sha256/{DIGEST[:2]}/{DIGEST}"]
    status = store.path(digest).lstat()
    assert stat.S_IMODE(status.st_mode) == 0o440
    assert status.st_nlink == 1


def test_the_same_content_again_replaces_a_damaged_file(store: BlobStore) -> None:
    path = store.path(kept(store))
    path.chmod(0o640)
    path.write_bytes(b"damaged!!!")
    kept(store)
    store.verify(DIGEST)
    assert len(files(store)) == 1


def test_bytes_other_than_announced_leave_nothing(store: BlobStore) -> None:
    with pytest.raises(DigestMismatchError, match=f"have SHA-256 {DIGEST}, announced was {'0' * 64}"):
        store.stage([DATA], expected="0" * 64)
    assert files(store) == []


def test_too_many_bytes_leave_nothing_and_are_noticed_before_the_end(store: BlobStore) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1)
            yield b"x" * 100

    with pytest.raises(BlobTooLargeError, match="more than 1000 bytes"):
        store.stage(endless(), limit=1000)
    assert len(sent) == 11
    assert files(store) == []


def test_a_sender_that_breaks_off_leaves_nothing(store: BlobStore) -> None:
    def broken() -> Iterator[bytes]:
        yield DATA
        raise ConnectionError

    with pytest.raises(ConnectionError):
        store.stage(broken())
    with store.receiving() as receiver:
        receiver.write(DATA)  # and no finish
    assert files(store) == []


def test_a_full_disk_is_said_and_leaves_nothing(store: BlobStore) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # Python ignores SIGXFSZ, so this is an error
    try:
        with pytest.raises(StorageFullError, match="cannot be written: File too large"):
            store.stage([b"x" * 600, b"x" * 600])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files(store) == []


def test_a_discarded_upload_leaves_nothing_and_a_kept_one_stays(store: BlobStore) -> None:
    staged = store.stage([DATA])
    store.discard(staged)
    assert files(store) == []
    again = store.stage([DATA])
    store.keep(again)
    store.discard(again)
    assert store.read(DIGEST) == DATA


def test_uploads_that_were_cut_off_are_removed_when_they_are_old(store: BlobStore) -> None:
    staged = store.stage([DATA])
    assert store.discard_stale(60.0) == 0
    os.utime(staged.path, (0, 0))
    assert store.discard_stale(60.0) == 1
    assert files(store) == []


def test_a_changed_file_is_never_taken_for_the_blob(store: BlobStore, tmp_path: Path) -> None:
    path = store.path(kept(store))
    path.chmod(0o640)
    path.write_bytes(b"some bytez")
    for use in (store.read, store.verify, lambda digest: store.materialise(digest, tmp_path / "copy")):
        with pytest.raises(CorruptBlobError, match=f"sha256:{DIGEST} has changed on disk"):
            use(DIGEST)
    assert not (tmp_path / "copy").exists()
    with pytest.raises(CorruptBlobError, match="has 10 bytes on disk, not 11"):
        store.open(DIGEST, size=11)


def test_a_missing_blob_is_said(store: BlobStore, tmp_path: Path) -> None:
    for use in (store.path, store.size, store.open, store.read, store.verify):
        with pytest.raises(BlobNotFoundError, match=f"sha256:{DIGEST} is not on disk"):
            use(DIGEST)
    with pytest.raises(BlobNotFoundError):
        store.materialise(DIGEST, tmp_path / "copy")
    assert not store.delete(DIGEST)


def test_a_copy_is_a_file_of_its_own(store: BlobStore, tmp_path: Path) -> None:
    digest = kept(store)
    store.materialise(digest, tmp_path / "copy")
    status = (tmp_path / "copy").lstat()
    assert stat.S_ISREG(status.st_mode)
    assert (status.st_nlink, stat.S_IMODE(status.st_mode)) == (1, 0o600)
    assert status.st_ino != store.path(digest).stat().st_ino
    with pytest.raises(FileExistsError):
        store.materialise(digest, tmp_path / "copy")


def test_a_copy_follows_no_link_that_somebody_planted(store: BlobStore, tmp_path: Path) -> None:
    digest = kept(store)
    (tmp_path / "copy").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="exists") as caught:
        store.materialise(digest, tmp_path / "copy")
    assert caught.value.errno == errno.EEXIST
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_in_the_store_is_not_opened(store: BlobStore, tmp_path: Path) -> None:
    path = store.path(kept(store))
    path.unlink()
    (tmp_path / "secret").write_bytes(DATA)
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        store.open(DIGEST)
    assert list(store.digests()) == []


@pytest.mark.parametrize(
    "text", ["", "../../etc/passwd", DIGEST[:-1], DIGEST.upper(), DIGEST + "\n", DIGEST[:-1] + "é"]
)
def test_nothing_but_a_digest_becomes_a_path(store: BlobStore, text: str) -> None:
    assert not is_digest(text)
    with pytest.raises(ValueError, match="is not a SHA-256"):
        store.path(text)


def test_files_are_listed_by_digest(store: BlobStore) -> None:
    digests = {kept(store, bytes([n])) for n in range(5)}
    (store.root / "sha256" / "ab").mkdir(exist_ok=True)
    (store.root / "sha256" / "ab" / "notes.txt").write_text("x")
    assert {digest for digest, _ in store.digests()} == digests
    assert store.delete(min(digests))
    assert {digest for digest, _ in store.digests()} == digests - {min(digests)}
    assert store.free_bytes() > 0
