"""Bringing inputs in: files, directories, models with external data, and every limit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.blobs.errors import BlobTooLargeError
from service.store.blobs.store import BlobStore
from service.store.connections.errors import ConnectionInputError
from service.store.connections.fetching import Kept, fetch, limit_of, open_place
from service.store.connections.local import LocalPlace
from service.store.connections.place import Entry
from service.store.settings import LocalConnection, Settings


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "net").mkdir(parents=True)
    (root / "net" / "net.onnx").write_bytes(b"model")
    (root / "net" / "weights.bin").write_bytes(b"0123")
    (root / "set" / "x").mkdir(parents=True)
    (root / "set" / "x" / "0.npy").write_bytes(b"00")
    (root / "empty").mkdir()
    return root


def bring(root: Path, store: BlobStore, path: str, key: str, limit: int = 100) -> object:
    def keep(chunks: Iterator[bytes], most: int) -> Kept:
        staged = store.stage(chunks, limit=most)
        store.keep(staged)
        return Kept(staged.digest, staged.size)

    return fetch(LocalPlace(root), path, key=key, limit=limit, keep=keep)


def test_a_file_becomes_a_file(root: Path, store: BlobStore) -> None:
    found = bring(root, store, "net/net.onnx", "model")
    assert found == {"kind": "file", "digest": sha(b"model"), "size": 5}
    assert store.read(sha(b"model")) == b"model"


def test_a_directory_becomes_a_data_set(root: Path, store: BlobStore) -> None:
    found = bring(root, store, "set", "data.calibration")
    assert found == {"kind": "directory", "files": {"x/0.npy": sha(b"00")}, "size": 2}


def test_a_directory_with_one_onnx_file_is_a_model_with_external_data(root: Path, store: BlobStore) -> None:
    found = bring(root, store, "net", "metric.onnx:connection://lab/net")
    assert found == {
        "kind": "file",
        "name": "net.onnx",
        "digest": sha(b"model"),
        "files": {"weights.bin": sha(b"0123")},
        "size": 9,
    }
    (root / "net" / "other.onnx").write_bytes(b"x")
    with pytest.raises(ConnectionInputError, match=r"one \.onnx file at its top, it has net\.onnx, other\.onnx"):
        bring(root, store, "net", "model")
    with pytest.raises(ConnectionInputError, match="it has none"):
        bring(root, store, "set", "model")


def test_overrides_are_a_file_and_nothing_is_empty(root: Path, store: BlobStore) -> None:
    with pytest.raises(ConnectionInputError, match="must be a file"):
        bring(root, store, "set", "overrides")
    with pytest.raises(ConnectionInputError, match="has no files"):
        bring(root, store, "empty", "data.evaluation")


def test_what_is_too_large_is_refused_before_it_is_copied(root: Path, store: BlobStore) -> None:
    with pytest.raises(ConnectionInputError, match="has 9 bytes, the limit is 8") as caught:
        bring(root, store, "net", "model", limit=8)
    assert caught.value.blame == "limit"
    assert list(store.digests()) == []


def test_a_place_that_sends_more_than_it_said_is_cut_off(store: BlobStore) -> None:
    class Liar:
        def entries(self, path: str) -> Iterator[Entry]:
            yield Entry("", 1)

        def read(self, path: str) -> Iterator[bytes]:
            while True:
                yield b"x" * 50

    with pytest.raises(BlobTooLargeError):
        fetch(Liar(), "x", key="model", limit=100, keep=lambda chunks, most: store.stage(chunks, limit=most))  # type: ignore[arg-type,return-value]


def test_names_that_one_file_system_takes_for_one_are_refused(root: Path, store: BlobStore) -> None:
    (root / "set" / "A.npy").write_bytes(b"1")
    (root / "set" / "a.npy").write_bytes(b"2")
    with pytest.raises(ConnectionInputError, match="is the same file"):
        bring(root, store, "set", "data.evaluation")


def test_each_input_has_its_limit() -> None:
    settings = Settings(max_model_bytes=3, max_dataset_bytes=5, max_json_bytes=7)
    keys = ("model", "metric.onnx:x", "data.evaluation", "overrides")
    assert [limit_of(key, settings) for key in keys] == [3, 3, 5, 7]


def test_the_administrator_s_kind_decides_what_is_opened(root: Path) -> None:
    assert isinstance(open_place(LocalConnection(kind="local", path=root)), LocalPlace)
