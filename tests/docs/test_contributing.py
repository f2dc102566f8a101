"""What CONTRIBUTING.md sends people to is there."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from types import ModuleType

import pytest

from tests.docs.pages import ROOT, pages


def test_every_path_in_it_exists() -> None:
    text = pages()["CONTRIBUTING.md"]
    paths = re.findall(r"(?<![\w/])((?:search|service|workers|tests|docs|bitbudget)/[\w./-]*\w)", text)
    assert len(set(paths)) > 25
    for path in paths:
        assert (ROOT / path).exists(), path


ADDED = {
    "an operator": "search/graph/",
    "a rule or a chip": "search/targets/",
    "a metric": "search/metrics/",
    "a strategy": "search/strategies/",
    "a file that is delivered": "search/export/",
    "an option": "search/spec/",
}
"""What the table tells how to add, and where its example must have put something."""


def row_of(what: str) -> str:
    return re.search(rf"^\| {what} \|.*$", pages()["CONTRIBUTING.md"], re.MULTILINE)[0]  # type: ignore[index]


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs the history")
@pytest.mark.parametrize(("what", "place"), ADDED.items())
def test_every_worked_example_is_a_commit_that_did_it_with_its_test(what: str, place: str) -> None:
    subject = re.search(r'"([^"]+)" \|$', row_of(what))
    assert subject is not None, what
    named = [line.partition(" ")[::2] for line in git("log", "--format=%H %s").splitlines()]
    commit = next((one for one, text in named if text == subject[1]), None)
    assert commit is not None, subject[1]
    changed = git("show", "--name-only", "--format=", commit).splitlines()
    assert any(path.startswith(place) for path in changed)
    assert any(path.startswith("tests/") for path in changed)


def picture() -> ModuleType:
    spec = importlib.util.spec_from_file_location("imports_picture", ROOT / "docs/imports.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_imports_is_current() -> None:
    assert (ROOT / "docs/imports.svg").read_text() == picture().picture(), "run: python docs/imports.py"


def test_the_picture_leaves_out_what_other_lines_say() -> None:
    edges = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset(), "d": frozenset("ac")}
    drawn = picture()
    assert drawn.reduced(edges) == {**edges, "a": frozenset("b"), "d": frozenset("a")}
    assert drawn.rows(edges) == [["d"], ["a"], ["b"], ["c"]]
    assert drawn.below(edges, "d") == frozenset("abc")
