"""Gemms: exact sums, bias, summed input, a watch on the accumulator, bounds, and the way out.

Bounds of the accumulator move behind the requantizer: ``rs`` never turns orders around, so
``rs(clamp(acc, low, high)) = clamp(rs(acc), rs(low), rs(high))``. Only a Relu stays in front where the runtime can fuse
it into the convolution.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from search.arrays import Array
from search.simulator.fast.accumulator import Accumulator, Completed
from search.simulator.fast.context import Context
from search.simulator.fast.convolution import Convolution
from search.simulator.fast.graph import Laying
from search.simulator.fast.requantize import Requantizer
from search.simulator.fast.whole import EXACT_DOUBLE, EXACT_SINGLE, Landing, Whole, as_double
from search.simulator.program import Fixed, Gemm, Operand, Rescale
from search.simulator.rescale import Int64Array, apply

WIDEST = 1 << 47
"""A requantizer sees no larger sum (docs/numerics.md#integer-arithmetic)."""

UNKNOWN_DEPTH = 1 << 20
"""Taken for the length of a sum where the program does not tell it; no row is longer."""


def write_gemm(context: Context, step: Gemm) -> None:
    """Append a gemm."""
    lay = _laying(context, step)
    axis = None if step.kind == "matmul" else 1
    requantizer = context.requantizer(lay, axis)
    preload = None
    if step.preload is not None:
        preload = requantizer.integer(context.whole(step.preload.input), step.preload.rescale)
    accumulator = Accumulator(context, step, requantizer)
    if step.kind == "matmul":
        made = accumulator.completed(_matmul(context, step), step.bias, preload)
    else:
        made = _convolution(context, step, accumulator, preload)
    acc, waiting = made.whole, made.waiting
    if waiting is not None and (step.rescale is None or not requantizer.takes_bias(acc, step.rescale, waiting)):
        acc, waiting = accumulator.biased(acc, waiting), None
    if step.rescale is None:
        _write_float(context, step, acc, lay)
    else:
        _write_integer(context, step, Completed(acc, waiting), requantizer)


def _convolution(context: Context, step: Gemm, accumulator: Accumulator, preload: Whole | None) -> Completed:
    """The accumulator of a convolution; the bias is inside the convolution where there is room."""
    if step.window is None or not isinstance(step.b, Fixed):
        raise ValueError(f"{step.name}: a convolution needs a window and constant weights.")
    convolution = Convolution(context.graph, step.window, step.kind == "conv_transpose")
    x, weights = context.whole(step.a), step.b.values
    bound = x.bound * int(convolution.channel_sums(np.abs(weights)).max(initial=0))
    inside = None if accumulator.needs_care(bound, step.bias, preload) else step.bias
    found = convolution.sums(x, weights, inside, bound)
    return accumulator.completed(found.whole, None if found.has_bias else step.bias, preload)


def _matmul(context: Context, step: Gemm) -> Whole:
    """``a @ b`` in float32 where every sum stays exact, else in float64, which has 53 bits."""
    bound = _matmul_bound(context, step)
    if bound > EXACT_DOUBLE:
        raise ValueError(f"{step.name}: sums up to {bound} are not exact in float64.")
    is_double = bound > EXACT_SINGLE
    a = _side(context, step.a, is_double=is_double, is_turned=step.trans_a)
    b = _side(context, step.b, is_double=is_double, is_turned=step.trans_b)
    return Whole(context.graph.add("MatMul", a, b), bound, is_double=is_double)


def _side(context: Context, operand: Operand, *, is_double: bool, is_turned: bool) -> str:
    graph = context.graph
    if isinstance(operand, Fixed):
        values = np.swapaxes(operand.values, -1, -2) if is_turned else operand.values
        return graph.constant(values, np.float64 if is_double else np.float32)
    name = graph.doubled(operand) if is_double else operand
    return graph.add("Einsum", name, equation="...ij->...ji") if is_turned else name


def _matmul_bound(context: Context, step: Gemm) -> int:
    """Largest absolute sum: that of the weights where there are any, else by the length of the sum."""
    a, b = context.whole(step.a).bound, context.whole(step.b).bound
    if isinstance(step.b, Fixed):
        return a * _largest_sum(step.b.values, -1 if step.trans_b or step.b.values.ndim == 1 else -2)
    if isinstance(step.a, Fixed):
        return b * _largest_sum(step.a.values, -2 if step.trans_a and step.a.values.ndim > 1 else -1)
    return a * b * (UNKNOWN_DEPTH if step.depth is None else step.depth)


def _largest_sum(weights: Int64Array, axis: int) -> int:
    return int(np.abs(weights).sum(axis=axis).max(initial=0))


def _write_integer(context: Context, step: Gemm, made: Completed, requantizer: Requantizer) -> None:
    """Requantize, within the bounds of the accumulator."""
    if step.rescale is None:
        raise ValueError(f"{step.name}: integers need a rescale.")
    graph, acc = context.graph, made.whole
    whole = context.landing(step.output)
    low = _moved(context, step.low, step.rescale, whole.low, whole)
    high = _moved(context, step.high, step.rescale, whole.high, whole)
    least = None
    if step.low is not None and not np.any(step.low) and not acc.is_double:
        acc, least = Whole(graph.add("Relu", acc.name), acc.bound), 0
    if acc.bound > WIDEST:
        ends = (graph.float64(-WIDEST), graph.float64(WIDEST))
        acc = Whole(graph.add("Clip", acc.name, *ends), WIDEST, is_double=True)
    if low.ndim:
        y = requantizer.land(acc, step.rescale, whole, least=least, bias=made.waiting)
        y = graph.add("Max", y, requantizer.constant(low, np.float32))
        y = graph.add("Min", y, requantizer.constant(high, np.float32))
    else:
        to = Landing(whole.grid, int(low), int(high.max()))
        caps = high if high.ndim else None
        y = requantizer.land(acc, step.rescale, to, caps=caps, least=least, bias=made.waiting)
    context.name(y, step.output)


def _moved(context: Context, bound: Int64Array | None, rescale: Rescale, end: int, whole: Landing) -> Int64Array:
    """A bound of the accumulator behind the requantizer, held on the grid; ``[]`` where all channels agree."""
    if bound is None:
        return np.asarray(end)
    # Both are [] or [C]: the result has one entry per channel where either has.
    moved = apply(np.clip(bound, -WIDEST, WIDEST), rescale, context.rounding)
    moved = np.clip(moved, whole.low, whole.high)
    return np.asarray(moved.ravel()[0]) if np.all(moved == moved.ravel()[0]) else moved


def _write_float(context: Context, step: Gemm, acc: Whole, lay: Laying) -> None:
    """``float32(float64(acc) * scales)``, then to binary16 if asked for.

    Neither rounding turns orders around, so the bounds follow in float32, rounded the same way.
    """
    graph = context.graph
    real = graph.add("Mul", as_double(graph, acc).name, lay(step.scales, np.float64))
    real = graph.single(real)
    for op, bound in (("Max", step.low), ("Min", step.high)):
        if bound is not None:
            with np.errstate(over="ignore", under="ignore"):
                end = (bound.astype(np.float64) * step.scales).astype(np.float32)
            real = (
                graph.add("Relu", real)
                if op == "Max" and not np.any(end)
                else graph.add(op, real, lay(end, np.float32))
            )
    if step.half:
        real = graph.add("Sum", graph.single(graph.cast(real, TensorProto.FLOAT16)))  # as in fast/casts.py
    context.name(real, step.output)


def _laying(context: Context, step: Gemm) -> Laying:
    """Values per channel ``[C]`` along the channel axis of the accumulator."""
    trailing = -step.axis - 1 if step.axis < 0 else len(step.window.kernel if step.window else ()) + 1 - step.axis

    def lay(values: Array, dtype: npt.DTypeLike) -> str:
        shaped = values.reshape(values.shape + (1,) * trailing) if values.ndim == 1 else values
        return context.graph.constant(shaped, dtype)

    return lay
