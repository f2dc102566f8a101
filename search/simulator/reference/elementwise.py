"""One integer of the integers at the same place: sums, products, quotients, rectifiers, tables."""

from __future__ import annotations

import numpy as np

from search.arrays import Array
from search.simulator.program import Product, Quotient, Rectify, Sum, Table
from search.simulator.reference.values import Values
from search.simulator.rescale import Int64Array, Rounding, round_shift


def run_sum(step: Sum, values: Values) -> Array:
    """``sat(round_shift(sum_i sign_i * x_i' * m_i + constant, shift))``."""
    total = np.asarray(step.constant, np.int64)
    for operand, sign, multiplier in zip(step.operands, step.signs, step.multipliers, strict=True):
        total = total + sign * values.centered(operand) * multiplier
    return values.saturated(round_shift(total, step.shift, values.rounding), step.output)


def run_product(step: Product, values: Values) -> Array:
    """``sat(rs(sign * a' * b', r))``."""
    product = step.sign * values.centered(step.a)
    if step.b is not None:
        product = product * values.centered(step.b)
    return values.saturated(values.rescaled(product, step.rescale), step.output)


def run_quotient(step: Quotient, values: Values) -> Array:
    """``t = floor((2 * a' * m + |b'|) / (2 * |b'|))`` with the sign of ``b'`` moved; then the shift."""
    a, b = np.broadcast_arrays(values.centered(step.a), values.centered(step.b))
    signed = a * np.where(b < 0, -1, 1)
    size = np.abs(b)
    nonzero = np.maximum(size, 1)
    t = (2 * signed * step.rescale.multiplier + nonzero) // (2 * nonzero)
    quotient = round_shift(t, step.rescale.shift, values.rounding)
    saturating = np.sign(a) * (1 << 20)  # beyond every grid
    return values.saturated(np.where(size == 0, saturating, quotient), step.output)


def run_rectify(step: Rectify, values: Values) -> Array:
    """One factor for ``x' >= 0``, another (or 0) below; then the bounds."""
    x = values.centered(step.input)
    y = values.rescaled(np.maximum(x, 0), step.positive)
    if step.negative is not None:
        sign = step.negative_sign
        if sign.ndim == 1 and step.axis is not None:
            sign = sign.reshape([-1 if i == step.axis % x.ndim else 1 for i in range(x.ndim)])
        below = values.rescaled(sign * np.minimum(x, 0), step.negative, axis=step.axis)
        y = np.where(x >= 0, y, below)
    if step.low is not None:
        y = np.maximum(y, step.low)
    if step.high is not None:
        y = np.minimum(y, step.high)
    return values.saturated(np.asarray(y, np.int64), step.output)


def run_table(step: Table, values: Values) -> Array:
    """Read a table at ``i = q - qmin``."""
    index = values[step.input] - values.grid(step.input).qmin
    y = read_table(step.entries, index, step.segment_bits, step.fraction_bits, values.rounding)
    return values.saturated(y, step.output)


def read_table(
    entries: Int64Array, index: Int64Array, segment_bits: int, fraction_bits: int, rounding: Rounding
) -> Int64Array:
    """Return the entry at ``index``, or the point between two entries; ``fraction_bits`` are rounded away.

    ``v = entries[k] * (2**segment_bits - f) + entries[k+1] * f`` with ``k = i >> segment_bits``.
    """
    if segment_bits == 0:
        return round_shift(entries[index], fraction_bits, rounding)
    segment = 1 << segment_bits
    k, f = index >> segment_bits, index & (segment - 1)
    return round_shift(entries[k] * (segment - f) + entries[k + 1] * f, segment_bits + fraction_bits, rounding)
