"""Which layer each node stands in, and where edges pass the layers between.

A node stands below everything it reads: ``layer = 1 + max(layer of what it reads)``. One that reads nothing stands just
above its first reader. An edge over several layers gets a *bend* in each of them, shared by all edges of one source, so
that a value read in many places is one line. There are at most ``BENDS_PER_PART`` bends per node and edge: the longest
edges go without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

Edge = tuple[int, int]
BENDS_PER_PART = 4


@dataclass(frozen=True)
class Layering:
    """Nodes and bends by layer.

    Attributes:
        layer_of: Layer of every node, then of every bend.
        n_nodes: How many of them are nodes.
        segments: ``(upper, lower)`` between neighbouring layers, over nodes and bends.
        bends: Per edge the bends it passes, downwards; empty for edges to the next layer and for those without.
    """

    layer_of: tuple[int, ...]
    n_nodes: int
    segments: tuple[Edge, ...]
    bends: tuple[tuple[int, ...], ...]


def layered(n_nodes: int, edges: Sequence[Edge]) -> Layering:
    """Put nodes into layers.

    Args:
        n_nodes: Nodes ``0 .. n_nodes - 1``.
        edges: ``(source, target)`` without repetition; nodes are in topological order.

    Raises:
        ValueError: If an edge does not lead to a later node.
    """
    for source, target in edges:
        if not 0 <= source < target < n_nodes:
            raise ValueError(f"Edge {source} -> {target} does not lead to a later one of {n_nodes} nodes.")
    layers = _layers(n_nodes, edges)
    longest = _longest_span(layers, edges)
    layer_of, segments = list(layers), dict[Edge, None]()
    bends: list[tuple[int, ...]] = []
    chain: dict[tuple[int, int], int] = {}  # (source, layer) -> bend
    for source, target in edges:
        span = layers[target] - layers[source]
        if span > longest:
            bends.append(())
            continue
        passed = []
        for layer in range(layers[source] + 1, layers[target]):
            if (source, layer) not in chain:
                chain[(source, layer)] = len(layer_of)
                layer_of.append(layer)
            passed.append(chain[(source, layer)])
        segments.update(dict.fromkeys(zip([source, *passed], [*passed, target], strict=True)))
        bends.append(tuple(passed))
    return Layering(tuple(layer_of), n_nodes, tuple(segments), tuple(bends))


def _layers(n_nodes: int, edges: Sequence[Edge]) -> list[int]:
    readers: list[list[int]] = [[] for _ in range(n_nodes)]
    is_read = [False] * n_nodes
    for source, target in edges:
        readers[source].append(target)
        is_read[target] = True
    layers = [0] * n_nodes
    for node in range(n_nodes):
        for reader in readers[node]:
            layers[reader] = max(layers[reader], layers[node] + 1)
    for node in range(n_nodes):
        if not is_read[node] and readers[node]:
            layers[node] = min(layers[reader] for reader in readers[node]) - 1
    return layers


def _longest_span(layers: Sequence[int], edges: Sequence[Edge]) -> int:
    """The longest span whose edges, with all shorter ones, stay within the number of bends."""
    room = BENDS_PER_PART * (len(layers) + len(edges))
    spans = Counter(layers[target] - layers[source] for source, target in edges)
    longest = 1
    for span in sorted(spans):
        room -= (span - 1) * spans[span]
        if room < 0:
            break
        longest = span
    return longest
