"""Concat, Pad with a value other than zero, and Gather from a constant table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

from search.evaluation.lowering import attributes
from search.evaluation.lowering.group_context import GroupContext
from search.quant.grid import Grid, quantize
from search.quant.weights import dequantize_weights
from search.simulator.program import Concat, Fixed, Lookup, Operand, PadWith, Rescale


def lower_movement(context: GroupContext) -> bool:
    """Append a Concat or Pad; False where it has no integer form."""
    if context.out_grid is None:
        return False
    if context.node.op_type == "Concat":
        return _concat(context, context.out_grid)
    return context.node.op_type == "Pad" and _pad(context, context.out_grid)


def _concat(context: GroupContext, grid: Grid) -> bool:
    parts = [_part(context, context.node, i, grid) for i in range(len(context.node.input))]
    found = [part for part in parts if part is not None]
    if len(found) != len(parts):
        return False
    axis = attributes.integer(context.node, "axis", 0)
    return context.done(
        Concat(
            name=context.name,
            output=context.output,
            operands=tuple(operand for operand, _ in found),
            rescales=tuple(rescale for _, rescale in found),
            axis=axis,
        )
    )


def _part(context: GroupContext, node: onnx.NodeProto, index: int, grid: Grid) -> tuple[Operand, Rescale | None] | None:
    """One operand; a constant is put on the output's grid here, as the Q/DQ model rounds it."""
    read = context.read(node, index)
    if read is not None:
        return read.operand, context.move_rescale(read)
    weight = context.weight(node, index)
    if weight is not None:
        real = dequantize_weights(weight.values, weight.scales, weight.zero_points, weight.axis)
    elif context.constant(node, index) is not None and not context.is_point(node, index):
        real = np.asarray(context.constant(node, index), np.float32)
    else:
        return None
    return Fixed(_on(grid, real) - grid.zero_point), None


def _on(grid: Grid, real: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    return quantize(np.asarray(real, np.float32), grid).astype(np.int64)


def _pad(context: GroupContext, grid: Grid) -> bool:
    node = context.node
    read, pads = context.read(node, 0), _pads(context)
    value = context.scalar(node, 2)
    if read is None or pads is None or value is None or attributes.text(node, "mode", "constant") != "constant":
        return False
    rescale = context.move_rescale(read)
    filling = int(_on(grid, np.asarray([value], np.float32))[0])
    return context.done(
        PadWith(
            name=context.name, output=context.output, input=str(read.operand), pads=pads, value=filling, rescale=rescale
        )
    )


def _pads(context: GroupContext) -> tuple[int, ...] | None:
    """Pads of every axis, begins then ends; None where they are computed or the rank is unknown."""
    node = context.node
    given, sizes = context.constant(node, 1), context.sizes(node.input[0])
    if given is None or sizes is None:
        return None
    pads = [int(pad) for pad in np.asarray(given).reshape(-1)]
    rank = len(sizes)
    if context.is_absent(node, 3):
        return tuple(pads)
    axes = context.constant(node, 3)
    if axes is None:
        return None
    found = [0] * (2 * rank)
    for i, axis in enumerate(np.asarray(axes, np.int64).reshape(-1)):
        found[int(axis) % rank] = pads[i]
        found[rank + int(axis) % rank] = pads[len(pads) // 2 + i]
    return tuple(found)


def lower_embedding(context: GroupContext) -> bool:
    """Append a Gather of a constant table, put on the output's grid; False where it has no integer form."""
    node, grid = context.node, context.out_grid
    weight = context.weight(node, 0)
    if weight is None or grid is None or node.op_type != "Gather" or context.constant(node, 1) is not None:
        return False
    real = dequantize_weights(weight.values, weight.scales, weight.zero_points, weight.axis)
    indices = context.builder.real(context.builder.held(node.input[1]))
    axis = attributes.integer(node, "axis", 0)
    return context.done(
        Lookup(name=context.name, output=context.output, table=_on(grid, real), indices=indices, axis=axis)
    )
