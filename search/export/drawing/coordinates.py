"""Horizontal places within layers: each near its neighbours, none closer to the next than half their widths.

Layer by layer, down and up in turns, ``sum weight * (x - wanted)^2`` is made smallest under ``x[i+1] - x[i] >=
gap[i]``, with ``wanted`` the mean place of the neighbours in the layer before; bends count little, so that the main
path runs straight. With ``y[i] = x[i] - sum of the gaps before i``
that is isotonic regression, solved exactly in linear time by pooling neighbours that are out of order.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.export.drawing.layering import Layering
from search.export.drawing.ordering import neighbours

NODE_WIDTH = 1.0
BEND_WIDTH = 0.3
_ROUNDS = 4
_BEND_SHARE = 0.1
_PATH, _STRAIGHT = 10.0, 2.0
"""Weights of a node below or above a node, and of a bend between bends: the main path runs straight, then long edges.
"""


def placed(layering: Layering, rows: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """Return the horizontal centre of every node and bend, in node widths; the leftmost node's edge is at 0."""
    above, below = neighbours(layering)
    widths = [NODE_WIDTH if node < layering.n_nodes else BEND_WIDTH for node in range(len(layering.layer_of))]
    x = [0.0] * len(widths)
    for row in rows:
        _place(row, [0.0 for _ in row], [1.0 for _ in row], widths, x)
    for round_ in range(2 * _ROUNDS):
        fixed, order = (above, rows) if round_ % 2 == 0 else (below, tuple(reversed(rows)))
        for row in order:
            wanted = [_wanted(layering, node, fixed[node], x) for node in row]
            weights = [_weight(layering, node, fixed[node]) for node in row]
            _place(row, wanted, weights, widths, x)
    left = min((x[node] - widths[node] / 2 for node in range(len(x))), default=0.0)
    return tuple(place - left for place in x)


def _wanted(layering: Layering, node: int, fixed: Sequence[int], x: Sequence[float]) -> float:
    if not fixed:
        return x[node]
    shares = [1.0 if other < layering.n_nodes else _BEND_SHARE for other in fixed]
    return sum(share * x[other] for share, other in zip(shares, fixed, strict=True)) / sum(shares)


def _weight(layering: Layering, node: int, fixed: Sequence[int]) -> float:
    if not fixed:
        return 0.01  # nothing pulls it, and it gives way
    if node < layering.n_nodes:
        return _PATH if any(other < layering.n_nodes for other in fixed) else 1.0
    return _STRAIGHT if all(other >= layering.n_nodes for other in fixed) else 1.0


def _place(
    row: Sequence[int], wanted: Sequence[float], weights: Sequence[float], widths: Sequence[float], x: list[float]
) -> None:
    """Set ``x`` of one layer."""
    offsets, offset = [], 0.0
    for position, node in enumerate(row):
        if position:
            offset += (widths[row[position - 1]] + widths[node]) / 2
        offsets.append(offset)
    level = isotonic([want - off for want, off in zip(wanted, offsets, strict=True)], weights)
    for node, value, off in zip(row, level, offsets, strict=True):
        x[node] = value + off


def isotonic(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return the non-decreasing sequence closest to ``values`` by weighted squares."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        mean, total, length = value, weight, 1
        while blocks and blocks[-1][0] > mean:
            before, before_weight, before_length = blocks.pop()
            mean = (mean * total + before * before_weight) / (total + before_weight)
            total, length = total + before_weight, length + before_length
        blocks.append((mean, total, length))
    return [mean for mean, _, length in blocks for _ in range(length)]
