"""Sensitivity tables: the rows of one output and base, most sensitive first.

``value`` is the mean over samples of the output error with only this point rounded: ``1 - cosine``,
``l1`` or ``atol``. Where the whole base collapses, a point alone says little; there the gain of sparing it counts as
well: how much smaller the error gets when everything but this point is rounded (see docs/search.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.graph.network import Network
from search.sensitivity.points import Point, PointKind


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        output: Model output.
        metric: ``cosine | l1 | atol``.
        base: Name of the base.
        point: What is rounded.
        op_name: User's node (or model input) that writes the tensor or owns the weights.
        op_type: Its operator, ``Input`` for a model input.
        value: The error; larger is more sensitive.
        macs: Multiply-accumulates per sample of the operator.
        share: Share of the network's multiply-accumulates.
        group: Index of the group that writes the tensor or owns the weights; None for a model input.
        rank: 1 for the most sensitive.
        samples: How many samples the value comes from; 0 where nobody said.
    """

    output: str
    metric: str
    base: str
    point: Point
    op_name: str
    op_type: str
    value: float
    macs: int
    share: float
    group: int | None
    rank: int
    samples: int


@dataclass(frozen=True)
class Table:
    """All rows of one output and base, most sensitive first.

    Attributes:
        output: Model output.
        base: Name of the base.
        rows: In order.
        agreement: Estimated rank correlation with the order that all samples would give; None where too few rows count.
    """

    output: str
    base: str
    rows: tuple[Row, ...]
    agreement: float | None = None

    def first(self, k: int) -> tuple[Row, ...]:
        """The ``k`` most sensitive rows."""
        return self.rows[:k]


def make_table(
    network: Network,
    *,
    output: str,
    metric: str,
    base: str,
    points: Sequence[Point],
    values: Sequence[float],
    counts: Sequence[int] = (),
    agreement: float | None = None,
) -> Table:
    """Order points by value; ties keep network order, so that the table is the same on every machine.

    Args:
        network: Whose points.
        output: Model output.
        metric: ``cosine | l1 | atol``.
        base: Name of the base.
        points: In network order.
        values: Error of each.
        counts: Samples that each comes from.
        agreement: Estimated rank correlation with the order that all samples would give.
    """
    order = np.argsort(-np.asarray(values, dtype=np.float64), kind="stable")
    rows = []
    for rank, i in enumerate(order, start=1):
        group = _group_of(network, points[i])
        owner = None if group is None else network.groups[group]
        macs = 0 if owner is None else owner.macs
        rows.append(
            Row(
                output=output,
                metric=metric,
                base=base,
                point=points[i],
                op_name=_name_of(network, points[i]),
                op_type="Input" if owner is None else owner.op_type,
                value=float(values[i]),
                macs=macs,
                share=macs / network.total_macs if network.total_macs else 0.0,
                group=group,
                rank=rank,
                samples=counts[i] if counts else 0,
            )
        )
    return Table(output, base, tuple(rows), agreement)


def combined(alone: Sequence[float], spared: Sequence[float]) -> list[float]:
    """Return one value per point from both ways of measuring, on the scale of ``alone``.

    ``value = max(alone / max(alone), gain / max(gain)) * max(alone)`` with ``gain = max(spared) - spared``: the total
    error is that of the base with its least important point spared.

    Args:
        alone: Error with only this point rounded.
        spared: Error with everything but this point rounded.
    """
    top, total = max(alone, default=0.0), max(spared, default=0.0)
    largest = total - min(spared, default=0.0)
    scale = top or 1.0
    return [
        max(one / scale, (total - left) / largest if largest else 0.0) * scale
        for one, left in zip(alone, spared, strict=True)
    ]


def ranking_samples(
    worst: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], metrics: Mapping[str, str], count: int
) -> tuple[int, ...]:
    """Choose the bad cases: the worst samples of each output under its ranking metric, taken in turns.

    Args:
        worst: Output to error name to ``(sample, error)``, largest first.
        metrics: Output to ranking metric; outputs left out do not take part.
        count: How many samples at most.
    """
    lists = [[sample for sample, _ in worst[output][metric]] for output, metric in metrics.items()]
    chosen: dict[int, None] = {}
    for turn in range(max((len(one) for one in lists), default=0)):
        for one in lists:
            if turn < len(one) and len(chosen) < count:
                chosen[one[turn]] = None
    return tuple(sorted(chosen))


def _group_of(network: Network, point: Point) -> int | None:
    if point.kind is PointKind.WEIGHT:
        return network.constants[point.index].group
    return network.tensors[point.index].writer


def _name_of(network: Network, point: Point) -> str:
    if point.kind is PointKind.WEIGHT:
        return network.groups[network.constants[point.index].group].name
    return network.tensors[point.index].op_name
