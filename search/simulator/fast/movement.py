"""Values put elsewhere, and operators taken from ONNX as they are."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from search.simulator.fast.context import Context
from search.simulator.program import Concat, Fixed, Float, Lookup, Move, Operand, PadWith, Rescale
from search.simulator.rescale import apply


def write_concat(context: Context, step: Concat) -> None:
    """Every operand on the output's grid; constants are brought there once."""
    parts = [
        _part(context, operand, rescale, step.output)
        for operand, rescale in zip(step.operands, step.rescales, strict=True)
    ]
    context.graph.add("Concat", *parts, output=step.output, axis=step.axis)


def _part(context: Context, operand: Operand, rescale: Rescale | None, output: str) -> str:
    if not isinstance(operand, Fixed):
        return context.landed(context.whole(operand), rescale, output)
    to, values = context.landing(output), operand.values
    moved = values if rescale is None else apply(values, rescale, context.rounding)
    return context.graph.float32(np.clip(moved, to.low, to.high))


def write_pad(context: Context, step: PadWith) -> None:
    """``value`` around the integers; a negative pad cuts."""
    graph = context.graph
    x = context.landed(context.whole(step.input), step.rescale, step.output)
    value = graph.float32(step.value - context.grid(step.output).zero_point)
    graph.add("Pad", x, graph.int64(list(step.pads)), value, output=step.output)


def write_lookup(context: Context, step: Lookup) -> None:
    """Rows of a constant table."""
    graph = context.graph
    table = graph.float32(step.table - context.grid(step.output).zero_point)
    index = graph.cast(step.indices, TensorProto.INT64)
    graph.add("Gather", table, index, output=step.output, axis=step.axis)


def write_node(context: Context, step: Move | Float) -> None:
    """The node as it is: on ``x'`` where it moves integers, on what it always read where it is float."""
    context.graph.append(step.node)
