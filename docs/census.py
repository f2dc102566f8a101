"""Count what the sources are like, per package: ``python docs/census.py [FOLDER]`` prints a table.

Lines and files; modules in import cycles; functions over 25 lines; explicit ``Any``; class names that occur twice;
public functions whose docstring has sections; comments per 100 lines. FOLDER is another checkout, to compare with.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bitbudget", "search", "service", "workers")
SECTIONS = ("Args:", "Returns:", "Raises:", "Attributes:", "Return ")
LONG = 25
COLUMNS = ("package", "files", "lines", "in cycles", "long", "Any", "twice", "sections", "comments")


@dataclass(frozen=True)
class Module:
    """A source file: its dotted name, text and syntax."""

    name: str
    text: str
    tree: ast.Module


def modules(root: Path) -> list[Module]:
    """Return every module of our packages below a checkout."""
    found = []
    for path in sorted(one for package in PACKAGES for one in (root / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        found.append(Module(name, text, ast.parse(text)))
    return found


def in_cycles(found: list[Module]) -> set[str]:
    """Return the names of modules that import each other when they are loaded, directly or through others."""
    number = {one.name: n for n, one in enumerate(found)}
    edges = [(number[one.name], number[to]) for one in found for node in one.tree.body for to in _targets(node, number)]
    at = np.array([edge for edge in edges if edge[0] != edge[1]]).T
    graph = coo_array((np.ones(at.shape[1]), (at[0], at[1])), shape=(len(found), len(found)))
    _, part = connected_components(graph, connection="strong")
    sizes = Counter(part.tolist())
    return {one.name for one, own in zip(found, part.tolist(), strict=True) if sizes[own] > 1}


def _targets(node: ast.stmt, names: Mapping[str, int]) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module:
        wanted = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from {name if name in names else node.module for name in wanted} & names.keys()
    elif isinstance(node, ast.Import):
        yield from {alias.name for alias in node.names} & names.keys()


def row(package: str, found: list[Module], looped: set[str]) -> list[str]:
    """Return the cells of one package."""
    mine = [one for one in found if one.name == package or one.name.startswith(f"{package}.")]
    lines = sum(len(one.text.splitlines()) for one in mine)
    nodes = [node for one in mine for node in ast.walk(one.tree)]
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = sum((node.end_lineno or node.lineno) - node.lineno >= LONG for node in functions)
    free = sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes)
    classes = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))
    twice = sum(count > 1 for count in classes.values())
    public = [node for node in functions if not node.name.startswith("_") and (node.args.args or node.args.kwonlyargs)]
    told = sum(any(section in (ast.get_docstring(node) or "") for section in SECTIONS) for node in public)
    comments = sum(line.lstrip().startswith("#") or "  # " in line for one in mine for line in one.text.splitlines())
    cells = (len(mine), lines, len(looped & {one.name for one in mine}), long, free, twice)
    share = f"{100 * told / max(1, len(public)):.0f} %"
    return [package, *map(str, cells), share, f"{100 * comments / max(1, lines):.1f}"]


def table(root: Path) -> str:
    """Return the table of a checkout, in Markdown."""
    found = modules(root)
    looped = in_cycles(found)
    parts = sorted({".".join(one.name.split(".")[:2]) for one in found if one.name.startswith("search.")})
    packages = [name for name in (*PACKAGES, *parts) if (root / name.replace(".", "/")).is_dir()]
    rows = [list(COLUMNS), ["---"] * len(COLUMNS), *(row(name, found, looped) for name in packages)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


if __name__ == "__main__":
    sys.stdout.write(f"{table(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)}\n")
