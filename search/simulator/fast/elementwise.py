"""Sums, products, quotients and rectifiers of the integers at the same place."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.simulator.fast.context import Context
from search.simulator.fast.requantize import Requantizer
from search.simulator.fast.whole import EXACT_DOUBLE, EXACT_SINGLE, Landing, Whole, as_double
from search.simulator.program import Fixed, Product, Quotient, Rectify, Sum
from search.simulator.rescale import Rescale

SATURATING = 1 << 20
"""Beyond every grid: what a division by 0 gives."""


def write_sum(context: Context, step: Sum) -> None:
    """Products with the multipliers, scaled down by ``2**-shift`` at once, added and rounded.

    All terms are multiples of ``2**-shift``; the sum is exact in float32 where twice its largest value, in this unit,
    stays below ``2**24``: one bit more for the half step that turns ties up.
    """
    wholes = [context.whole(operand) for operand in step.operands]
    bound = abs(step.constant) + sum(w.bound * m for w, m in zip(wholes, step.multipliers, strict=True))
    if 2 * bound + 1 <= EXACT_SINGLE and context.rounding != "half_away":
        context.name(_single_sum(context, step), step.output)
        return
    if bound >= EXACT_DOUBLE // 2:
        raise ValueError(f"{step.name}: sums up to {bound} are not exact in float64.")
    graph = context.graph
    total: str | None = None if step.constant == 0 else graph.float64(step.constant)
    for whole, sign, multiplier in zip(wholes, step.signs, step.multipliers, strict=True):
        wide = as_double(graph, whole).name
        term = wide if sign * multiplier == 1 else graph.add("Mul", wide, graph.float64(sign * multiplier))
        total = term if total is None else graph.add("Add", total, term)
    if total is None:
        raise ValueError(f"{step.name}: a sum needs an operand.")
    rescale = Rescale(np.asarray(1, np.int64), np.asarray(step.shift, np.int64))
    whole = Whole(total, bound, is_double=True)
    y = context.requantizer().land(whole, rescale, context.landing(step.output))
    context.name(y, step.output)


def _single_sum(context: Context, step: Sum) -> str:
    """The sum in float32, and QuantizeLinear by 1, which rounds ties to even: where they go up, none are left."""
    graph = context.graph
    up = 0.5 if context.rounding == "half_up" and step.shift > 0 else 0.0
    more = np.ldexp(step.constant + up, -step.shift)
    total = graph.float32(more) if more else None
    for operand, sign, multiplier in zip(step.operands, step.signs, step.multipliers, strict=True):
        factor = np.ldexp(float(sign * multiplier), -step.shift)
        if isinstance(operand, Fixed):
            term = graph.float32(operand.values * factor)
        else:
            term = graph.add("Mul", operand, graph.float32(factor))
        total = term if total is None else graph.add("Add", total, term)
    if total is None:
        raise ValueError(f"{step.name}: a sum needs an operand.")
    return context.requantizer().quantized(total, 1.0, context.landing(step.output))


def write_product(context: Context, step: Product) -> None:
    """``sat(rs(sign * a' * b', r))``."""
    graph = context.graph
    v = context.whole(step.a)
    if step.b is not None:
        v = _multiplied(context, v, context.whole(step.b))
    if step.sign < 0:
        v = Whole(graph.add("Neg", v.name), v.bound, is_double=v.is_double)
    context.name(context.landed(v, step.rescale, step.output), step.output)


def _multiplied(context: Context, a: Whole, b: Whole) -> Whole:
    """``a * b``, in float32 where that is exact."""
    graph, bound = context.graph, a.bound * b.bound
    if bound <= EXACT_SINGLE:
        return Whole(graph.add("Mul", a.name, b.name), bound)
    return Whole(graph.add("Mul", as_double(graph, a).name, as_double(graph, b).name), bound, is_double=True)


def write_quotient(context: Context, step: Quotient) -> None:
    """``floor((2 * a'' * m + |b'|) / (2 * |b'|))`` in float64.

    ``k*b - 1`` over ``b`` is ``1/b`` below ``k``, more than half an ulp of ``k`` while ``k*b < 2**53``: a float64
    quotient of such integers never rounds up to an integer it does not reach, so ``Floor`` of it is right.
    """
    graph = context.graph
    a, b = (as_double(graph, context.whole(operand)).name for operand in (step.a, step.b))
    zero, one = graph.float64(0), graph.float64(1)
    size = graph.add("Max", graph.add("Abs", b), one)
    sign = graph.add("Where", graph.add("Less", b, zero), graph.float64(-1), one)
    signed = graph.add("Mul", a, sign)
    twice = graph.add("Mul", signed, graph.float64(2.0 * float(step.rescale.multiplier)))
    t = graph.add("Div", graph.add("Add", twice, size), graph.add("Mul", size, graph.float64(2)))
    t = graph.add("Floor", t)
    end = np.ldexp(SATURATING, int(step.rescale.shift))
    t = graph.add("Where", graph.add("Equal", b, zero), graph.add("Mul", graph.add("Sign", a), graph.float64(end)), t)
    shifted = graph.add("Mul", t, graph.float64(np.ldexp(1.0, -int(step.rescale.shift))))
    context.name(context.requantizer().round_exact(shifted, context.landing(step.output)), step.output)


def write_rectify(context: Context, step: Rectify) -> None:
    """The positive and the negative side by themselves; one of both is always 0, so their sum is the result."""
    graph = context.graph
    x, whole = context.whole(step.input), context.landing(step.output)
    positive = Whole(graph.add("Relu", x.name), x.bound)
    if step.negative is None:
        y = context.requantizer().land(positive, step.positive, _bounded(whole, step), least=0)
        context.name(y, step.output)
        return
    y = context.requantizer().land(positive, step.positive, whole, least=0)
    y = graph.add("Add", y, _below(context, step, x, step.negative))
    if step.low is not None or step.high is not None:
        to = _bounded(whole, step)
        y = graph.add("Clip", y, graph.float32(to.low), graph.float32(to.high))
    context.name(y, step.output)


def _below(context: Context, step: Rectify, x: Whole, negative: Rescale) -> str:
    """The negative side, factors per channel along ``axis``."""
    graph = context.graph
    requantizer = _along(context, step, x.name)
    name = graph.add("Min", x.name, graph.float32(0))
    if np.any(step.negative_sign < 0):
        name = graph.add("Mul", name, requantizer.constant(step.negative_sign, np.float32))
    return requantizer.land(Whole(name, x.bound), negative, context.landing(step.output))


def _along(context: Context, step: Rectify, x: str) -> Requantizer:
    """A requantizer for factors ``[C]`` along ``axis``; the rank of ``x`` is only known while running."""
    if step.axis is None:
        return context.requantizer()
    graph = context.graph
    places = graph.add("Range", graph.int64(0), graph.add("Size", graph.add("Shape", x)), graph.int64(1))
    axis = graph.int64(step.axis)
    if step.axis < 0:
        axis = graph.add("Add", graph.add("Size", graph.add("Shape", x)), axis)
    shape = graph.add("Where", graph.add("Equal", places, axis), graph.int64(-1), graph.int64(1))

    def lay(values: Array, dtype: npt.DTypeLike) -> str:
        name = graph.constant(values, dtype)
        return graph.add("Reshape", name, shape) if values.ndim == 1 else name

    return context.requantizer(lay=lay)


def _bounded(whole: Landing, step: Rectify) -> Landing:
    """The grid within ``[low, high]``, both held on it."""
    low = whole.low if step.low is None else min(max(step.low, whole.low), whole.high)
    high = whole.high if step.high is None else min(max(step.high, whole.low), whole.high)
    return Landing(whole.grid, low, high)
