"""Draw which package imports which: ``python docs/imports.py`` writes ``docs/imports.svg``, a test compares it.

A line goes from a package down to one that it imports; a line is left out where a way over others says the same. What
stands in a box is the beginning of the package's docstring.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/imports.svg"
WHOLE = ("bitbudget", "workers")
OPENED = ("search", "service")
"""Packages that are drawn as one box, and those whose parts have boxes."""
LEFT_OUT = frozenset({"search.errors", "search.optional", "search.telemetry", "search.canonical", "service.problems"})
"""Imported by nearly all: their lines would say nothing."""
WIDTH, BOX_W, BOX_H, GAP_X, GAP_Y, MARGIN = 1240, 190, 62, 14, 34, 16
LINES, LETTERS = 3, 36
Edges = Mapping[str, frozenset[str]]


def packages() -> list[str]:
    """Return the names of all boxes."""
    parts = [
        f"{one}.{path.stem}"
        for one in OPENED
        for path in sorted((ROOT / one).iterdir())
        if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.stem != "__init__")
    ]
    return [*WHOLE, *(one for one in parts if one not in LEFT_OUT)]


def imports(names: list[str]) -> Edges:
    """Return which of the packages each of them imports."""
    graph = grimp.build_graph(*WHOLE, *OPENED, cache_dir=None)
    for name in names:
        if graph.find_children(name):
            graph.squash_module(name)
    wanted = frozenset(names)
    return {name: frozenset(graph.find_modules_directly_imported_by(name)) & wanted - {name} for name in names}


def reduced(edges: Edges) -> Edges:
    """Leave out every import that a way over others says already."""
    return {
        name: frozenset(one for one in found if not any(one in below(edges, other) for other in found - {one}))
        for name, found in edges.items()
    }


def below(edges: Edges, name: str) -> frozenset[str]:
    """Return what a package imports, directly or through others."""
    found: set[str] = set()
    left = list(edges[name])
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left.extend(edges[one])
    return frozenset(found)


def rows(edges: Edges) -> list[list[str]]:
    """Return the packages from the top row down: each above all that it imports, as low as that lets it."""
    heights: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in heights:
            heights[name] = 1 + max((height(one) for one in edges[name]), default=-1)
        return heights[name]

    for name in edges:
        height(name)
    return [sorted(one for one in edges if heights[one] == level) for level in range(max(heights.values()), -1, -1)]


def caption(name: str) -> str:
    """Return the first paragraph of the docstring of a package or module."""
    place = ROOT.joinpath(*name.split("."))
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    text = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n\n")[0]
    return " ".join(text.replace("``", "").split())


def drawing(edges: Edges) -> str:
    """Return the picture."""
    places = {
        name: (x, y) for y, row in enumerate(split(rows(edges))) for name, x in zip(row, columns(len(row)), strict=True)
    }
    height = 2 * MARGIN + (1 + max(y for _, y in places.values())) * (BOX_H + GAP_Y) - GAP_Y
    lines = [line(places[name], places[one]) for name, found in edges.items() for one in sorted(found)]
    boxes = [box(name, *place) for name, place in places.items()]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">'
    ground = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, "<title>Which package imports which</title>", ground, *lines, *boxes, "</svg>", ""])


def split(rows: list[list[str]]) -> list[list[str]]:
    """Break rows that are wider than the picture."""
    most = (WIDTH - 2 * MARGIN + GAP_X) // (BOX_W + GAP_X)
    return [row[i : i + most] for row in rows for i in range(0, len(row), most)]


def columns(n: int) -> list[int]:
    """Return the left edges of ``n`` boxes in the middle of the picture."""
    start = (WIDTH - n * BOX_W - (n - 1) * GAP_X) // 2
    return [start + i * (BOX_W + GAP_X) for i in range(n)]


def top(row: int) -> int:
    """Return the upper edge of a row."""
    return MARGIN + row * (BOX_H + GAP_Y)


def line(source: tuple[int, int], target: tuple[int, int]) -> str:
    """Draw an import."""
    (x1, row1), (x2, row2) = source, target
    x1, x2, y1, y2 = x1 + BOX_W // 2, x2 + BOX_W // 2, top(row1) + BOX_H, top(row2)
    bend = (y1 + y2) // 2
    return f'<path d="M{x1},{y1} C{x1},{bend} {x2},{bend} {x2},{y2}" fill="none" stroke="#8a94a6" stroke-width="1.2"/>'


def box(name: str, x: int, row: int) -> str:
    """Draw a package."""
    y, is_core = top(row), name.startswith("search.")
    fill, edge = ("#eef4ff", "#3b6fb6") if is_core else ("#fff6e5", "#a8741a")
    text = textwrap.shorten(caption(name), LETTERS * (LINES - 1), placeholder=" …")
    parts = [
        f'<rect x="{x}" y="{y}" width="{BOX_W}" height="{BOX_H}" rx="5" fill="{fill}" stroke="{edge}"/>',
        f'<text x="{x + 8}" y="{y + 18}" font-size="13" font-weight="bold" fill="#1b2330">{escape(name)}</text>',
    ]
    for i, words in enumerate(textwrap.wrap(text, LETTERS)[: LINES - 1]):
        parts.append(f'<text x="{x + 8}" y="{y + 36 + 14 * i}" font-size="10" fill="#1b2330">{escape(words)}</text>')
    return "\n".join(parts)


def picture() -> str:
    """Return the text of the file."""
    return drawing(reduced(imports(packages())))


if __name__ == "__main__":
    PICTURE.write_text(picture())
