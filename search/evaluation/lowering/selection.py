"""Operators whose every result is one of the values they read: extremes, Where, Scatter and Gather of activations.

All operands are brought to the grid of the result, then the operator itself runs on the integers: an order-preserving
rescale before a maximum is the maximum rescaled.
"""

from __future__ import annotations

import numpy as np
import onnx

from search.evaluation.lowering.group_context import GroupContext, Quantity
from search.quant.grid import Grid, quantize
from search.quant.weights import dequantize_weights
from search.simulator.program import Move, Requantize

SELECTING = frozenset(
    {"Max", "Min", "ReduceMax", "ReduceMin", "GlobalMaxPool", "Where", "ScatterND", "ScatterElements"}
    | {"GatherND", "GatherElements"}
)
_COMBINING = ("reduction", "none")


def lower_selection(context: GroupContext) -> bool:
    """Append the operator; False where an operand is no integer, or it combines what it picks."""
    node, grid = context.node, context.out_grid
    if grid is None or _combines(node):
        return False
    names = [_operand(context, i, grid) for i in range(len(node.input))]
    if any(name is None for name in names):
        return False
    new = onnx.NodeProto()
    new.CopyFrom(node)
    new.input[:] = [name or "" for name in names]
    new.output[:] = [context.output]
    return context.done(Move(name=context.name, output=context.output, node=new))


def _combines(node: onnx.NodeProto) -> bool:
    """Whether a Scatter adds or multiplies instead of putting in place."""
    name, harmless = _COMBINING
    return any(attribute.name == name and attribute.s.decode() != harmless for attribute in node.attribute)


def _operand(context: GroupContext, index: int, grid: Grid) -> str | None:
    """Program value for one input: integers on ``grid``, or what is no real value as it is; None where neither."""
    node = context.node
    if context.is_absent(node, index):
        return ""
    if context.slot(node, index) is not None:
        read = context.read(node, index)
        return None if read is None else _landed(context, read, grid)
    constant = context.constant(node, index)
    if constant is None:
        return context.builder.real(context.builder.held(node.input[index]))
    if constant.dtype != np.float32:
        return context.builder.use(node.input[index])
    return _fixed(context, index, constant.astype(np.float32), grid)


def _landed(context: GroupContext, read: Quantity, grid: Grid) -> str:
    if read.grid == grid:
        return str(read.operand)
    output = context.builder.integer_name(f"{read.operand}_{context.name}", grid)
    step = Requantize(
        name=context.name, output=output, input=str(read.operand), rescale=context.rescale(read.scale / grid.scale)
    )
    context.builder.steps.append(step)
    return output


def _fixed(
    context: GroupContext, index: int, real: np.ndarray[tuple[int, ...], np.dtype[np.float32]], grid: Grid
) -> str | None:
    """A constant on ``grid`` without its zero point, from its quantized values where it is a point."""
    node = context.node
    if context.is_point(node, index):
        weight = context.weight(node, index)
        if weight is None:
            return None
        real = dequantize_weights(weight.values, weight.scales, weight.zero_points, weight.axis)
    integers = quantize(np.asarray(real, np.float32), grid).astype(np.int64) - grid.zero_point
    return context.builder.constant(f"{node.input[index]}_{context.name}", integers.astype(np.float32))
