"""The two factors of a gemm's products: integers that are read, integers of weights, and the scale of a product."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx

from search.evaluation.lowering import attributes
from search.evaluation.lowering.group_context import GroupContext, Quantity, without_zero_point
from search.precision import Precision
from search.simulator.program import Fixed, Operand
from search.simulator.rescale import Int64Array

DoubleArray = npt.NDArray[np.float64]
_CONVOLUTIONS = ("Conv", "ConvTranspose")


@dataclass(frozen=True, kw_only=True, eq=False)
class Sides:
    """Both factors.

    Attributes:
        values: The sides that are read, by input index.
        scale: Product of all scales but those of the weights, ``alpha`` of a Gemm included.
        weights: Integers of the constant side without zero point; None where both sides are read.
        weight_index: Which input the weights are.
        weight_scales: float64 ``[]`` or ``[C]``; 1 where both sides are read.
        weight_axis: Axis of the channels in ``weights``; None where one scale serves all.
        precision: Widths of both sides.
    """

    values: dict[int, Quantity]
    scale: float
    weights: Int64Array | None
    weight_index: int
    weight_scales: DoubleArray
    weight_axis: int | None
    precision: Precision

    @property
    def operands(self) -> tuple[Operand, Operand]:
        """Both sides as operands of a step."""
        fixed = None if self.weights is None else Fixed(self.weights)
        a, b = (self.values[i].operand if i in self.values else fixed for i in (0, 1))
        if a is None or b is None:
            raise ValueError("A gemm without weights reads both sides.")
        return a, b

    @property
    def reach(self) -> int:
        """Largest ``|x'|`` of the side that is read, where the other one is constant."""
        return max(value.reach for value in self.values.values())


def sides_of(context: GroupContext, anchor: onnx.NodeProto) -> Sides | None:
    """Both factors of ``anchor``; None where one of them is no integer."""
    values = {i: quantity for i in (0, 1) if (quantity := context.read(anchor, i)) is not None}
    alpha = attributes.number(anchor, "alpha", 1.0) if anchor.op_type == "Gemm" else 1.0
    if not values or alpha == 0 or not np.isfinite(alpha):
        return None
    scale = abs(alpha)
    for quantity in values.values():
        scale *= quantity.scale
    if len(values) == 2:
        return None if alpha < 0 or anchor.op_type in _CONVOLUTIONS else _two_values(context, anchor, values, scale)
    found = _with_weights(context, anchor, values, scale)
    if found is None or alpha > 0 or found.weights is None:
        return found
    return replace(found, weights=-found.weights)


def _two_values(
    context: GroupContext, anchor: onnx.NodeProto, values: dict[int, Quantity], scale: float
) -> Sides | None:
    formats = context.format(anchor, 0), context.format(anchor, 1)
    if formats[0] is None or formats[1] is None:
        return None
    return Sides(
        values=values,
        scale=scale,
        weights=None,
        weight_index=1,
        weight_scales=np.ones(()),
        weight_axis=None,
        precision=Precision.pair(formats[0], formats[1]),
    )


def _with_weights(
    context: GroupContext, anchor: onnx.NodeProto, values: dict[int, Quantity], scale: float
) -> Sides | None:
    index = 1 - next(iter(values))
    grid, fmt = context.weight(anchor, index), context.format(anchor, 1 - index)
    if grid is None or fmt is None or (index == 0 and anchor.op_type in _CONVOLUTIONS):
        return None
    return Sides(
        values=values,
        scale=scale,
        weights=without_zero_point(grid),
        weight_index=index,
        weight_scales=grid.scales.astype(np.float64),
        weight_axis=grid.axis if grid.scales.ndim else None,
        precision=Precision.pair(fmt, context.weight_format(anchor, index)),
    )


def rows_per_channel(weights: Int64Array, group: int) -> Int64Array:
    """Weights of a ConvTranspose ``[C, M/group, ...]`` with the output channels in front: ``[M, C/group, ...]``."""
    c, m = weights.shape[:2]
    split = weights.reshape(group, c // group, m, *weights.shape[2:])
    return np.swapaxes(split, 1, 2).reshape(group * m, c // group, *weights.shape[2:])


def transposed_again(rows: Int64Array, group: int) -> Int64Array:
    """The way back from ``rows_per_channel``."""
    m, c = rows.shape[:2]
    split = rows.reshape(group, m // group, c, *rows.shape[2:])
    return np.ascontiguousarray(np.swapaxes(split, 1, 2).reshape(group * c, m // group, *rows.shape[2:]))
