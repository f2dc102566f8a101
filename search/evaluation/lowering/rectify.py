"""Relu, LeakyRelu, PRelu, Abs and Clip that no gemm took in: one factor for each sign, then bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from search.evaluation.lowering import attributes
from search.evaluation.lowering.group_context import GroupContext, Quantity, without_zero_point
from search.quant.grid import Grid
from search.simulator.program import Rectify

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Slope:
    """Factor of negative values: ``[]``, ``[C]`` along ``axis`` (from the back), or of any shape that broadcasts."""

    values: DoubleArray
    axis: int | None = None


def lower_activation(context: GroupContext) -> bool:
    """Append the operator; False where it has no integer form."""
    node, grid = context.node, context.out_grid
    read = context.read(node, 0)
    if read is None or grid is None or not isinstance(read.operand, str):
        return False
    if node.op_type == "Relu":
        return _rectify(context, read, grid, _Slope(np.zeros(())))
    if node.op_type == "Abs":
        return _rectify(context, read, grid, _Slope(np.asarray(-1.0)))
    if node.op_type == "Clip":
        return _clip(context, read, grid)
    slope = _slope(context, node)
    return slope is not None and _rectify(context, read, grid, slope)


def _slope(context: GroupContext, node: onnx.NodeProto) -> _Slope | None:
    if node.op_type == "LeakyRelu":
        return _Slope(np.asarray(attributes.number(node, "alpha", 0.01)))
    if node.op_type != "PRelu":
        return None
    number = context.scalar(node, 1)
    if number is not None:
        return _Slope(np.asarray(number))
    weight = context.weight(node, 1)
    if weight is None or weight.axis is not None:
        return None
    slopes = without_zero_point(weight).astype(np.float64) * float(weight.scales)
    wide = [i - slopes.ndim for i, size in enumerate(slopes.shape) if size > 1]
    return _Slope(slopes.reshape(-1), wide[0]) if len(wide) == 1 else _Slope(slopes)


def _rectify(context: GroupContext, read: Quantity, grid: Grid, slope: _Slope) -> bool:
    factor = read.scale / grid.scale
    negative = None if not slope.values.any() else context.rescale(np.abs(slope.values) * factor)
    return context.done(
        Rectify(
            name=context.name,
            output=context.output,
            input=str(read.operand),
            positive=context.rescale(factor),
            negative=negative,
            negative_sign=np.where(slope.values < 0, -1, 1).astype(np.int64),
            axis=slope.axis,
        )
    )


def _clip(context: GroupContext, read: Quantity, grid: Grid) -> bool:
    node = context.node
    if any(not context.is_absent(node, i) and context.bound(node, i) is None for i in (1, 2)):
        return False
    rescale = context.rescale(read.scale / grid.scale)
    return context.done(
        Rectify(
            name=context.name,
            output=context.output,
            input=str(read.operand),
            positive=rescale,
            negative=rescale,
            negative_sign=np.ones((), np.int64),
            low=_steps(context.bound(node, 1), grid),
            high=_steps(context.bound(node, 2), grid),
        )
    )


def _steps(bound: float | None, grid: Grid) -> int | None:
    """A bound in steps of the output; one beyond the grid, infinities included, is none."""
    if bound is None or not grid.low <= bound <= grid.high:
        outside = bound is not None and np.isfinite(bound)
        return round(np.clip(bound, grid.low, grid.high) / grid.scale) if outside and bound is not None else None
    return round(bound / grid.scale)
