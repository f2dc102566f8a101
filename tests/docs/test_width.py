"""Lines of the documentation have at most 120 characters, but for what cannot be broken."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

WIDTH = 120
PAGES = sorted(
    path
    for folder in (ROOT, ROOT / "docs", ROOT / "docs/decisions", ROOT / "examples")
    for path in folder.glob("*.md")
    if not path.is_symlink()
)
UNBROKEN = re.compile(r"`[^`]*`|\[[^\]]*\]\([^)]*\)|\S+")


def long_lines(text: str) -> list[str]:
    """Lines outside of tables and code blocks that are too long and could be broken."""
    found, is_code = [], False
    for line in text.splitlines():
        is_code ^= line.lstrip().startswith("```")
        widest = max((len(part) for part in UNBROKEN.findall(line)), default=0)
        if len(line) > WIDTH and not is_code and not line.lstrip().startswith("|") and widest < WIDTH - 20:
            found.append(line)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_line_is_too_long(page) -> None:
    assert long_lines(page.read_text(encoding="utf-8")) == []


def test_a_long_line_is_found() -> None:
    assert long_lines("word " * 30) == ["word " * 30]
    assert long_lines("| " + "word " * 30) == long_lines("```\n" + "word " * 30 + "\n```") == []
