"""The pages of the repository: README, CHANGELOG, SECURITY and everything below docs/ and examples/."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_ANCHOR = re.compile(r'<a id="([^"]+)"></a>')
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    language: str
    text: str


@cache
def pages() -> dict[str, str]:
    """Path relative to the repository to text."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(found)}


def blocks(*languages: str) -> list[Block]:
    """Fenced blocks in these languages."""
    return [
        Block(page, match["language"], match["text"])
        for page, text in pages().items()
        for match in _FENCE.finditer(text)
        if match["language"] in languages
    ]


def links(page: str) -> list[str]:
    """Targets of links and images of a page, code left out."""
    return [match["target"] for match in _LINK.finditer(_FENCE.sub("", pages()[page]))]


def anchors(page: str) -> set[str]:
    """Names a link into the page can use: explicit ones, and those made from headings."""
    text = _FENCE.sub("", pages()[page])
    headings = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in _HEADING.findall(text)}
    return headings | set(_ANCHOR.findall(text))


def prose() -> str:
    """All pages in one text, the history left out: what was once is no documentation of what is."""
    return "\n".join(text for page, text in pages().items() if page != "CHANGELOG.md")


def is_named(name: str, text: str) -> bool:
    """Whether ``name`` stands in ``text`` as a whole word of code: in backticks, alone or with words around it."""
    return re.search(rf"`[^`\n]*(?<![\w.-]){re.escape(name)}(?![\w-])[^`\n]*`", text) is not None
