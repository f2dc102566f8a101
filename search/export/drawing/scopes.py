"""Scopes of a network: the modules in its operators' names, as a tree that a drawing collapses.

``/features/features.0/conv/Conv`` lies in ``features.0.conv`` within ``features.0`` within ``features``. A scope that
holds fewer than two nodes, or the same nodes as the scope around it, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.targets.module_path import dotted

MOST_SHOWN = 400
"""A drawing with more nodes starts with scopes collapsed."""
_MOST_DEPTH = 12


@dataclass(frozen=True)
class Scope:
    """One scope.

    Attributes:
        path: Its modules from the outermost on, joined by dots.
        parent: Position of the scope around it; None for an outermost one. Parents come first.
        size: Nodes in it, those of scopes within included.
    """

    path: str
    parent: int | None
    size: int


@dataclass(frozen=True)
class ScopeTree:
    """The scopes, and the innermost one of every node.

    Attributes:
        scopes: Parents before children.
        scope_of: Position of the innermost scope per node; None where a node has none.
    """

    scopes: tuple[Scope, ...]
    scope_of: tuple[int | None, ...]


def scope_tree(names: Sequence[str]) -> ScopeTree:
    """Return the scopes of nodes with these names."""
    paths = [tuple(dotted(name).split(".")[:-1][:_MOST_DEPTH]) for name in names]
    size: dict[tuple[str, ...], int] = {}
    for path in paths:
        for depth in range(1, len(path) + 1):
            size[path[:depth]] = size.get(path[:depth], 0) + 1
    place: dict[tuple[str, ...], int] = {}
    scopes: list[Scope] = []
    for path in sorted(size, key=lambda path: (len(path), path)):
        parent = _innermost(path[:-1], place)
        around = len(names) if parent is None else scopes[parent].size
        if 2 <= size[path] < around:
            place[path] = len(scopes)
            scopes.append(Scope(".".join(path), parent, size[path]))
    return ScopeTree(tuple(scopes), tuple(_innermost(path, place) for path in paths))


def collapsed_at_first(tree: ScopeTree) -> tuple[int, ...]:
    """Return the scopes that start collapsed: none of a small drawing, else the innermost level that is small enough.

    A drawing without enough scopes starts as collapsed as it can be.
    """
    if len(tree.scope_of) <= MOST_SHOWN or not tree.scopes:
        return ()
    depths = [0] * len(tree.scopes)
    for index, scope in enumerate(tree.scopes):
        depths[index] = 0 if scope.parent is None else depths[scope.parent] + 1
    for level in range(max(depths), -1, -1):
        chosen = tuple(index for index, depth in enumerate(depths) if depth == level)
        if _n_shown(tree, chosen) <= MOST_SHOWN:
            return chosen
    return tuple(index for index, depth in enumerate(depths) if depth == 0)


def _n_shown(tree: ScopeTree, collapsed: Sequence[int]) -> int:
    return len(tree.scope_of) - sum(tree.scopes[index].size - 1 for index in collapsed)


def _innermost(path: tuple[str, ...], place: dict[tuple[str, ...], int]) -> int | None:
    return next((place[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in place), None)
