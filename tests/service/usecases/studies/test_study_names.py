"""Relative paths that a collection of files may have."""

import posixpath
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.names import path_problems


def is_fine(*paths: str) -> bool:
    return not list(path_problems(paths, at="/files"))


@pytest.mark.parametrize(
    "path",
    [
        *(
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a//b",
            "a/",
            "~",
            "~root/x",
            "C:\\x",
            "c:x",
            "a\\b",
        ),
        *("a\0b", "a\nb", "\u202etxt", "a" * 256, "/".join(["abc"] * 200), "\ud800"),
    ],
)
def test_paths_that_could_lead_elsewhere_are_refused(path: str) -> None:
    assert not is_fine(path)


@pytest.mark.parametrize(
    "path", ["a.npy", "input/0.npy", "n01440764/x.JPEG", "weights..bin", "é/ü.png", "..a/b", "a b"]
)
def test_ordinary_paths_are_fine(path: str) -> None:
    assert is_fine(path)


def test_two_names_for_one_file_are_refused() -> None:
    assert not is_fine("a/B.npy", "a/b.npy")
    assert not is_fine("\u00e9", "e\u0301")
    assert not is_fine("a", "a/b")
    assert is_fine("a/b", "a/c")


@given(st.text(max_size=20))
def test_what_passes_stays_inside_on_every_system(path: str) -> None:
    if is_fine(path):
        assert posixpath.normpath(path) == path
        assert not PurePosixPath(path).is_absolute()
        assert not PureWindowsPath(path).is_absolute()
        assert not PureWindowsPath(path).drive
        assert ".." not in PureWindowsPath(path).parts
