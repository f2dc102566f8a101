"""A directory behind a connection: read below its root, whatever somebody puts there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from service.store.connections.errors import ConnectionDownError, ConnectionInputError
from service.store.connections.local import LocalPlace
from service.store.connections.place import Entry


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "set" / "x").mkdir(parents=True)
    (root / "net.onnx").write_bytes(b"model")
    (root / "set" / "x" / "0.npy").write_bytes(b"00")
    (root / "set" / "labels.csv").write_bytes(b"a")
    (root / "set" / ".DS_Store").write_bytes(b"z")
    return root


def read(place: LocalPlace, path: str) -> bytes:
    return b"".join(place.read(path))


def test_files_and_directories_are_listed_and_read(root: Path) -> None:
    place = LocalPlace(root)
    assert list(place.entries("net.onnx")) == [Entry("", 5)]
    assert list(place.entries("set")) == [Entry("labels.csv", 1), Entry("x/0.npy", 2)]
    assert read(place, "set/x/0.npy") == b"00"


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "../secret",
        "set/../../secret",
        "set/./x",
        "set//x",
        "/etc/passwd",
        "~root",
        "a\\b",
        "C:/x",
        "a\0b",
        "x" * 600,
        "zip::net.onnx",
        "simplecache::file:///etc/passwd",
        "file:///etc/passwd",
        "s3://bucket/x",
    ],
)
def test_a_path_cannot_lead_out_or_name_a_file_system(root: Path, path: str) -> None:
    with pytest.raises(ConnectionInputError, match="of a connection must"):
        list(LocalPlace(root).entries(path))
    with pytest.raises(ConnectionInputError, match="of a connection must"):
        read(LocalPlace(root), path)


@pytest.mark.parametrize("to", ["../secret", "/etc/passwd", "net.onnx", "."])
def test_no_link_is_followed(root: Path, to: str) -> None:
    (root / "link").symlink_to(to)
    (root / "set" / "inner").symlink_to("../link")
    with pytest.raises(ConnectionInputError, match="links are not followed"):
        read(LocalPlace(root), "link")
    with pytest.raises(ConnectionInputError, match=r"'set/inner' is a link"):
        list(LocalPlace(root).entries("set"))


def test_a_link_on_the_way_is_not_followed(root: Path) -> None:
    (root / "out").symlink_to("..")
    with pytest.raises(ConnectionInputError, match=r"is a link|There is no"):
        read(LocalPlace(root), "out/secret")


def test_the_root_itself_may_be_a_link_of_the_administrator(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert read(LocalPlace(tmp_path / "alias"), "net.onnx") == b"model"


def test_what_is_missing_or_no_file_is_named(root: Path) -> None:
    place = LocalPlace(root)
    with pytest.raises(ConnectionInputError, match=r"There is no 'nothing'"):
        list(place.entries("nothing"))
    with pytest.raises(ConnectionInputError, match=r"There is no 'net.onnx/x'"):
        read(place, "net.onnx/x")
    with pytest.raises(ConnectionInputError, match="not a plain file"):
        read(place, "set")
    with pytest.raises(ConnectionDownError, match="its directory cannot be opened"):
        list(LocalPlace(root / "away").entries("x"))


def test_a_pipe_is_refused_and_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(ConnectionInputError, match="neither a plain file nor a directory"):
        read(LocalPlace(root), "pipe")


def test_directories_without_end_are_refused(root: Path) -> None:
    deep = root / "deep"
    for _ in range(40):
        deep = deep / "d"
    deep.mkdir(parents=True)
    with pytest.raises(ConnectionInputError, match="more than 32 deep"):
        list(LocalPlace(root).entries("deep"))


def test_somebody_who_swaps_a_directory_for_a_link_all_the_time_gets_nothing_out(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"secret")
    (root / "a").mkdir()
    (root / "a" / "file").write_bytes(b"public")
    (root / "b").symlink_to(tmp_path / "outside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(root / "a", root / "c")
            os.rename(root / "b", root / "a")
            os.rename(root / "a", root / "b")
            os.rename(root / "c", root / "a")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                seen.add(read(LocalPlace(root), "a/file"))
            except ConnectionInputError:
                seen.add(b"refused")
    finally:
        stop.set()
        thread.join()
    assert b"secret" not in seen
    assert read(LocalPlace(root), "a/file") == b"public"


def test_nothing_stays_open(root: Path) -> None:
    def n_open() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = n_open()
    for path in ("set", "net.onnx", "nothing", "set/nothing"):
        try:
            list(LocalPlace(root).entries(path))
            list(LocalPlace(root).read(path))
        except ConnectionInputError:
            pass
    assert n_open() == before
