"""The order of nodes and bends within their layers, with few crossings: barycentre sweeps.

Down and up in turns, each layer is sorted by the mean position of its neighbours in the layer before; ties keep their
order. The order with the fewest crossings seen is taken. One sweep and one count take O(E log E).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from search.export.drawing.layering import Edge, Layering

SWEEPS = 12
_PATIENCE = 4
"""Sweeps without fewer crossings before it ends."""


def ordered(layering: Layering) -> tuple[tuple[int, ...], ...]:
    """Return the nodes and bends of every layer from left to right."""
    rows = _first_order(layering)
    above, below = neighbours(layering)
    best, fewest, waited = rows, crossings(rows, layering.segments), 0
    for sweep in range(SWEEPS):
        if fewest == 0 or waited == _PATIENCE:
            break
        rows = _swept(rows, above, downwards=True) if sweep % 2 == 0 else _swept(rows, below, downwards=False)
        found = crossings(rows, layering.segments)
        waited += 1
        if found < fewest:
            best, fewest, waited = rows, found, 0
    return tuple(tuple(row) for row in best)


def neighbours(layering: Layering) -> tuple[list[list[int]], list[list[int]]]:
    """Return what stands above and below every node and bend, along its segments."""
    above: list[list[int]] = [[] for _ in layering.layer_of]
    below: list[list[int]] = [[] for _ in layering.layer_of]
    for upper, lower in layering.segments:
        above[lower].append(upper)
        below[upper].append(lower)
    return above, below


def crossings(rows: Sequence[Sequence[int]], segments: Sequence[Edge]) -> int:
    """Return how many pairs of segments cross between neighbouring layers."""
    place = {node: (layer, position) for layer, row in enumerate(rows) for position, node in enumerate(row)}
    by_layer: dict[int, list[Edge]] = {}
    for upper, lower in segments:
        by_layer.setdefault(place[upper][0], []).append((place[upper][1], place[lower][1]))
    return sum(_inversions([lower for _, lower in sorted(pairs)]) for pairs in by_layer.values())


def _inversions(values: Sequence[int]) -> int:
    """Return the pairs in the wrong order, by a binary indexed tree over the distinct values."""
    ranks = sorted(set(values))
    tree = [0] * (len(ranks) + 1)
    total = 0
    for seen, value in enumerate(values):
        rank = bisect_right(ranks, value)
        total += seen - _sum(tree, rank)
        while rank < len(tree):
            tree[rank] += 1
            rank += rank & -rank
    return total


def _sum(tree: Sequence[int], rank: int) -> int:
    total = 0
    while rank > 0:
        total += tree[rank]
        rank -= rank & -rank
    return total


def _first_order(layering: Layering) -> list[list[int]]:
    """Nodes as a walk in depth from the sources meets them, so that what belongs together starts side by side."""
    rows: list[list[int]] = [[] for _ in range(max(layering.layer_of, default=-1) + 1)]
    for node in _walk(layering):
        rows[layering.layer_of[node]].append(node)
    return rows


def _walk(layering: Layering) -> Iterator[int]:
    _, below = neighbours(layering)
    seen = [False] * len(layering.layer_of)
    for start in sorted(range(len(layering.layer_of)), key=lambda node: (layering.layer_of[node], node)):
        stack = [start]
        while stack:
            node = stack.pop()
            if not seen[node]:
                seen[node] = True
                yield node
                stack.extend(reversed(below[node]))


def _swept(rows: Sequence[Sequence[int]], fixed: Sequence[Sequence[int]], *, downwards: bool) -> list[list[int]]:
    """Sort every layer by the places of its neighbours ``fixed`` in the layer before."""
    found = [list(row) for row in rows]
    place = {node: float(position) for row in rows for position, node in enumerate(row)}
    for row in found if downwards else reversed(found):
        wanted = {
            node: sum(place[other] for other in fixed[node]) / len(fixed[node]) if fixed[node] else place[node]
            for node in row
        }
        row.sort(key=lambda node, wanted=wanted: wanted[node])  # type: ignore[misc]
        place.update({node: float(position) for position, node in enumerate(row)})
    return found
