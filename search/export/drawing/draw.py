"""From a directed graph to coordinates: layers, order, places. Equal graphs give equal drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.export.drawing.coordinates import placed
from search.export.drawing.layering import Edge, layered
from search.export.drawing.ordering import ordered


@dataclass(frozen=True)
class Drawing:
    """Places of nodes and edges.

    Attributes:
        rows: Layer of every node, 0 on top.
        x: Horizontal centre of every node, in node widths.
        bends: Per edge its horizontal places in the layers between its ends.
        width: Width of all, in node widths.
    """

    rows: tuple[int, ...]
    x: tuple[float, ...]
    bends: tuple[tuple[float, ...], ...]
    width: float


def draw(n_nodes: int, edges: Sequence[Edge]) -> Drawing:
    """Return the places of ``n_nodes`` nodes in topological order and of ``edges`` between them.

    Raises:
        ValueError: If an edge does not lead to a later node.
    """
    layering = layered(n_nodes, edges)
    x = placed(layering, ordered(layering))
    return Drawing(
        rows=layering.layer_of[:n_nodes],
        x=tuple(round(place, 3) for place in x[:n_nodes]),
        bends=tuple(tuple(round(x[bend], 3) for bend in bends) for bends in layering.bends),
        width=round(max(x, default=0.0) + 0.5, 3),
    )
