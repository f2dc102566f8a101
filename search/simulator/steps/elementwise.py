"""Steps that make one integer of the integers at the same place: sums, products, quotients, rectifiers, tables."""

from __future__ import annotations

from dataclasses import dataclass

from search.simulator.rescale import Int64Array, Rescale
from search.simulator.steps.base import Operand, Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Sum(Step):
    """Add and Sub: ``sat(round_shift(sum_i sign_i * x_i' * m_i + constant, shift))`` with one shift for all.

    A constant operand has its multiplier as any other. ``constant`` is what scalars contribute, already at
    ``2**shift``.
    """

    operands: tuple[Operand, ...]
    signs: tuple[int, ...]
    multipliers: tuple[int, ...]
    shift: int
    constant: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Product(Step):
    """Mul: ``sat(rs(sign * a' * b', r))``; with ``b`` None it is a factor folded into ``r`` alone."""

    a: Operand
    b: Operand | None
    sign: int
    rescale: Rescale


@dataclass(frozen=True, kw_only=True, eq=False)
class Quotient(Step):
    """Div of two values: ``sat(round_shift(t, shift))``, ``t = floor((2 * a'' * m + |b'|) / (2 * |b'|))``.

    ``a''`` is ``a'`` with the sign of ``b'`` moved to it; ``m, shift`` are ``rescale``. Where ``b'`` is 0 the result
    saturates with the sign of ``a'``; 0 / 0 is 0.
    """

    a: Operand
    b: Operand
    rescale: Rescale


@dataclass(frozen=True, kw_only=True, eq=False)
class Rectify(Step):
    """Relu, LeakyRelu, PRelu, Clip: ``sat(clamp(y, low, high))``.

    ``y = rs(x', positive)`` where ``x' >= 0``, else ``rs(negative_sign * x', negative)``, the sign inside the rounding.

    Attributes:
        negative: None where negative values become 0 (Relu).
        negative_sign: Sign of the slope, ``[]`` or like ``negative`` along ``axis``.
        low: Smallest result on the output's grid without zero point; None for none.
        high: Largest.
    """

    input: str
    positive: Rescale
    negative: Rescale | None
    negative_sign: Int64Array
    axis: int | None = None
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Table(Step):
    """A unary function by table. ``i = q - qmin`` of the input.

    ``segment_bits`` 0: ``y = sat(round_shift(entries[i], fraction_bits))``, one entry per integer of the input.
    Else ``k = i >> segment_bits``, ``f = i & (2**segment_bits - 1)``,
    ``v = entries[k] * (2**segment_bits - f) + entries[k+1] * f`` and
    ``y = sat(round_shift(v, segment_bits + fraction_bits))``. Entries (int64, 16 bit wide) are without zero point,
    in units of the output's scale times ``2**-fraction_bits``.
    """

    input: str
    entries: Int64Array
    segment_bits: int
    fraction_bits: int
