"""Softmax, LayerNormalization and lengths, their integers held in float64.

All quotients have numerators below ``2**52``, so ``Floor`` of a float64 quotient is the integer quotient (see
``elementwise.write_quotient``); sums of integers below ``2**53`` are exact in any order.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from search.simulator.fast.context import Context
from search.simulator.fast.tables import between, looked_up
from search.simulator.fast.whole import EXACT_DOUBLE, Whole
from search.simulator.program import EuclideanNorm, LayerNorm, Softmax
from search.simulator.rescale import Rescale

_ONE = 1 << 15
_LONGEST = 1 << 26
"""Roots of what stays below ``2**52`` are no larger."""


def write_softmax(context: Context, step: Softmax) -> None:
    """``p = floor((e * 2**15 + S // 2) / S)`` with ``e`` looked up at ``max - x``."""
    graph = context.graph
    last = len(step.entries) - 1
    end = last if step.segment_bits == 0 else (last << step.segment_bits) - 1
    table = between(step.entries, np.arange(end + 1), step.segment_bits, 0, context.rounding)
    largest = graph.add("ReduceMax", step.input, graph.int64([step.axis]), keepdims=1)
    below = graph.add("Min", graph.add("Sub", largest, step.input), graph.float32(end))
    e = graph.doubled(looked_up(graph, table, graph.cast(below, TensorProto.INT32)))
    total = graph.add("ReduceSum", e, graph.int64([step.axis]), keepdims=1)
    half = graph.add("Floor", graph.add("Mul", total, graph.float64(0.5)))
    p = graph.add("Add", graph.add("Mul", e, graph.float64(_ONE)), half)
    p = graph.single(graph.add("Floor", graph.add("Div", p, total)))
    context.name(context.landed(Whole(p, _ONE + 1), step.rescale, step.output), step.output)


def write_layer_norm(context: Context, step: LayerNorm) -> None:
    """Mean, variance, root, quotient; then gamma, beta and the shift."""
    graph = context.graph
    gamma = step.gamma * step.rescale.multiplier
    bound = _ONE * int(np.abs(gamma).max(initial=0)) + int(np.abs(step.beta).max(initial=0))
    if bound >= EXACT_DOUBLE // 2:
        raise ValueError(f"{step.name}: results up to {bound} are not exact in float64.")
    z = _normalised(context, step)
    y = graph.add("Add", graph.add("Mul", z, graph.float64(gamma)), graph.float64(step.beta))
    shift = Rescale(np.ones_like(step.rescale.shift), step.rescale.shift)
    y = context.requantizer().land(Whole(y, bound, is_double=True), shift, context.landing(step.output))
    context.name(y, step.output)


def write_euclidean_norm(context: Context, step: EuclideanNorm) -> None:
    """Sums of squares below ``2**52``, and their root."""
    graph = context.graph
    x = graph.add("Mul", graph.doubled(step.input), graph.float64(2.0**step.fraction))
    axes = graph.int64(list(step.axes))
    squares = graph.add("ReduceSum", graph.add("Mul", x, x), axes, keepdims=int(step.keepdims))
    root = Whole(_root(context, squares), _LONGEST, is_double=True)
    context.name(context.landed(root, step.rescale, step.output), step.output)


def _normalised(context: Context, step: LayerNorm) -> str:
    """``z = clamp(floor((2 * d * 2**K + sigma) / (2 * sigma)))``."""
    graph = context.graph
    x, axes = graph.doubled(step.input), _axes(context, step)
    n = graph.doubled(graph.add("ReduceProd", graph.add("Shape", step.input, start=step.axis), keepdims=0))
    scaled = graph.add("Mul", x, graph.float64(2.0**step.fraction))
    d = scaled
    if step.centred:
        mean = graph.add("ReduceSum", scaled, axes, keepdims=1)
        mean = graph.add("Add", mean, graph.add("Floor", graph.add("Mul", n, graph.float64(0.5))))
        d = graph.add("Sub", scaled, graph.add("Floor", graph.add("Div", mean, n)))
    variance = graph.add("ReduceSum", graph.add("Mul", d, d), axes, keepdims=1)
    variance = graph.add("Add", graph.add("Floor", graph.add("Div", variance, n)), graph.float64(step.epsilon))
    sigma = graph.add("Max", _root(context, variance), graph.float64(1))
    z = graph.add("Add", graph.add("Mul", d, graph.float64(2.0 ** (step.result_bits + 1))), sigma)
    z = graph.add("Floor", graph.add("Div", z, graph.add("Mul", sigma, graph.float64(2))))
    return graph.add("Clip", z, graph.float64(-_ONE), graph.float64(_ONE - 1))


def _axes(context: Context, step: LayerNorm) -> str:
    """The last axes from ``axis`` on; counted from the front they end where the rank of the input says."""
    graph = context.graph
    if step.axis < 0:
        return graph.int64(list(range(step.axis, 0)))
    rank = graph.add("Size", graph.add("Shape", step.input))
    return graph.add("Range", graph.int64(step.axis), rank, graph.int64(1))


def _root(context: Context, v: str) -> str:
    """Largest integer whose square does not pass ``v``, for ``v`` up to ``2**53``.

    The float64 root is right to one ulp and can only reach the next integer from below.
    """
    graph = context.graph
    root = graph.add("Floor", graph.add("Sqrt", v))
    passes = graph.add("Greater", graph.add("Mul", root, root), v)
    return graph.add("Sub", root, graph.cast(passes, TensorProto.DOUBLE))
