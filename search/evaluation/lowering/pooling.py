"""MaxPool, AveragePool, GlobalAveragePool, ReduceMean, ReduceSum and CumSum."""

from __future__ import annotations

import math

import numpy as np

from search.evaluation.lowering import attributes
from search.evaluation.lowering.group_context import GroupContext, Quantity
from search.quant.grid import Grid
from search.simulator.making.means import mean_rescale, window_counts
from search.simulator.program import Interpolate, MaxPool, Mean, Rescale

LONGEST = 4096
"""Places along the axis of a CumSum: its matrix has as many rows and columns."""


def lower_pool(context: GroupContext) -> bool:
    """Append the operator; False where it has no integer form."""
    read = context.read(context.node, 0)
    if read is None or read.grid is None or context.out_grid is None:
        return False
    op_type = context.node.op_type
    if op_type == "MaxPool":
        return _max_pool(context, read)
    if op_type == "AveragePool":
        return _average_pool(context, read, read.grid, context.out_grid)
    if op_type == "CumSum":
        return _cumulative(context, read)
    axes = _axes(context)
    return axes is not None and _mean(
        context, read, axes, keepdims=bool(attributes.integer(context.node, "keepdims", 1))
    )


def _max_pool(context: GroupContext, read: Quantity) -> bool:
    node = context.node
    sizes = context.sizes(node.input[0])
    kernel = attributes.integers(node, "kernel_shape", ())
    window = attributes.window(node, kernel, None if sizes is None else sizes[2:])
    if window is None or len([name for name in node.output if name]) != 1:
        return False
    rescale = context.move_rescale(read)
    return context.done(
        MaxPool(name=context.name, output=context.output, input=str(read.operand), window=window, rescale=rescale)
    )


def _average_pool(context: GroupContext, read: Quantity, grid: Grid, out_grid: Grid) -> bool:
    node = context.node
    sizes = context.sizes(node.input[0])
    if sizes is None or any(size < 0 for size in sizes[2:]):
        return False
    window = attributes.window(node, attributes.integers(node, "kernel_shape", ()), sizes[2:])
    if window is None:
        return False
    include_pad = bool(attributes.integer(node, "count_include_pad", 0))
    counts = window_counts(sizes[2:], window, include_pad=include_pad)
    made = mean_rescale(grid, out_grid, counts, context.widths, node=context.name)
    context.warn(made.warnings)
    axes = tuple(range(2, len(sizes)))
    return context.done(
        Mean(
            name=context.name,
            output=context.output,
            input=str(read.operand),
            axes=axes,
            keepdims=True,
            window=window,
            rescale=made.rescale,
        )
    )


def _axes(context: GroupContext) -> tuple[int, ...] | None:
    """Axes a mean runs over, counted from the front; None where they are unknown."""
    node = context.node
    sizes = context.sizes(node.input[0])
    if sizes is None:
        return None
    rank = len(sizes)
    if node.op_type == "GlobalAveragePool":
        return tuple(range(2, rank))
    if node.op_type not in ("ReduceMean", "ReduceSum"):
        return None
    given = None if context.is_absent(node, 1) else context.constant(node, 1)
    if given is None:
        is_all = context.is_absent(node, 1) and not attributes.integer(node, "noop_with_empty_axes", 0)
        return tuple(range(rank)) if is_all else None
    if not given.size:
        return None
    return tuple(sorted(int(axis) % rank for axis in np.asarray(given, np.int64).reshape(-1)))


def _mean(context: GroupContext, read: Quantity, axes: tuple[int, ...], *, keepdims: bool) -> bool:
    sizes = context.sizes(context.node.input[0])
    if sizes is None or any(sizes[axis] <= 0 for axis in axes) or read.grid is None or context.out_grid is None:
        return False
    count = 1 if context.node.op_type == "ReduceSum" else math.prod(sizes[axis] for axis in axes)
    made = mean_rescale(read.grid, context.out_grid, count, context.widths, node=context.name)
    context.warn(made.warnings)
    return context.done(_mean_step(context, read, axes, made.rescale, keepdims=keepdims))


def _mean_step(
    context: GroupContext, read: Quantity, axes: tuple[int, ...], rescale: Rescale, *, keepdims: bool
) -> Mean:
    return Mean(
        name=context.name,
        output=context.output,
        input=str(read.operand),
        axes=axes,
        keepdims=keepdims,
        window=None,
        rescale=rescale,
    )


def _cumulative(context: GroupContext, read: Quantity) -> bool:
    """Sums up to each place: the axis times a matrix of ones below its diagonal."""
    node, sizes = context.node, context.sizes(context.node.input[0])
    axis = context.constant(node, 1)
    if sizes is None or axis is None or context.out_grid is None:
        return False
    place = int(np.asarray(axis).reshape(-1)[0]) % len(sizes)
    if not 0 < sizes[place] <= LONGEST:
        return False
    ones = np.tri(sizes[place], k=-attributes.integer(node, "exclusive", 0), dtype=np.int64)
    matrix = ones[::-1, ::-1].copy() if attributes.integer(node, "reverse", 0) else ones
    rescale = context.rescale(read.scale / context.out_grid.scale)
    return context.done(
        Interpolate(
            name=context.name, output=context.output, input=str(read.operand), matrices={place: matrix}, rescale=rescale
        )
    )
