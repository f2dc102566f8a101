"""Between float and integers, between grids, and to binary16."""

from __future__ import annotations

from onnx import TensorProto

from search.simulator.fast.context import Context
from search.simulator.program import Dequantize, Quantize, Requantize, RoundHalf


def write_quantize(context: Context, step: Quantize) -> None:
    """QuantizeLinear, held as ``x'`` in float32."""
    graph, grid = context.graph, context.grid(step.output)
    zero = graph.constant(grid.zero_point, grid.dtype)
    x = graph.single(graph.add("QuantizeLinear", step.input, graph.float32(grid.scale), zero))
    if grid.zero_point:
        x = graph.add("Sub", x, graph.float32(grid.zero_point))
    context.name(x, step.output)


def write_dequantize(context: Context, step: Dequantize) -> None:
    """``float32(x') * float32(scale)``."""
    graph = context.graph
    graph.add("Mul", step.input, graph.float32(context.grid(step.input).scale), output=step.output)


def write_round_half(context: Context, step: RoundHalf) -> None:
    """``half(x * 2**-k) * 2**k``; both factors are powers of two.

    The copy behind it keeps LayerNormFusion from looking through the casts: it then makes a LayerNormalization of float
    and binary16 inputs, which cannot be loaded.
    """
    graph, k = context.graph, step.prescale
    x = graph.add("Mul", step.input, graph.float32(2.0**-k)) if k else step.input
    x = graph.add("Sum", graph.single(graph.cast(x, TensorProto.FLOAT16)))
    context.name(graph.add("Mul", x, graph.float32(2.0**k)) if k else x, step.output)


def write_requantize(context: Context, step: Requantize) -> None:
    """``sat(rs(x', r))``."""
    context.name(context.landed(context.whole(step.input), step.rescale, step.output), step.output)
