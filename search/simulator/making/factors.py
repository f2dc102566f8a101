"""Real factors as multipliers and shifts that a chip has, with a warning or a refusal where it has none.

``factor ~ multiplier * 2**-shift``, ``multiplier < 2**multiplier_bits``, ``shift_min <= shift <= shift_max``.
See docs/numerics.md#factors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.simulator.making.infeasible import Infeasible
from search.simulator.program import Warned
from search.simulator.rescale import Rescale, Widths, at_shift, normalized

SHORT_BITS = 8
"""A multiplier of fewer bits changes results by more than a 256th."""

ADDER_BITS = 47
"""Sums of products with multipliers stay below ``2**ADDER_BITS``."""


@dataclass(frozen=True, eq=False)
class Made:
    """A factor as the chip holds it.

    Attributes:
        rescale: Multiplier and shift.
        warnings: What was lost.
    """

    rescale: Rescale
    warnings: tuple[Warned, ...] = ()


@dataclass(frozen=True)
class SumFactors:
    """The factors of a sum under one shift.

    Attributes:
        multipliers: One per operand.
        shift: Of all.
        constant: What is added, at ``2**shift``.
        warnings: What was lost.
    """

    multipliers: tuple[int, ...]
    shift: int
    constant: int
    warnings: tuple[Warned, ...] = ()


def requantizer(factor: npt.ArrayLike, widths: Widths, *, node: str, largest: npt.ArrayLike = 2.0**31) -> Made:
    """Return the requantizer of a gemm; its channels may have their own shifts.

    The layer's ``q`` is the smallest shift, that of the largest factor. Channels that would need more than
    ``shift_max`` get ``shift_max`` and fewer bits.

    Args:
        factor: Step of the accumulator over step of the output, float64 ``[]`` or ``[C]``, 0 or above.
        widths: The requantizer.
        node: User's name.
        largest: Largest ``|acc|`` a channel can reach, ``[]`` or ``[C]``: decides whether lost bits matter.

    Raises:
        Infeasible: If ``q`` is outside ``[shift_min, shift_max]``.
    """
    f = np.asarray(factor, np.float64)
    full = normalized(f, widths.multiplier_bits)
    if not np.any(f > 0):
        return Made(at_shift(f, widths.shift_min))
    q = int(full.shift[f > 0].min())
    if not widths.shift_min <= q <= widths.shift_max:
        raise Infeasible(node, "q", q, widths.shift_min, widths.shift_max)
    made = _held(f, full, widths)
    reached = f * np.asarray(largest, np.float64)
    short = (made.multiplier < 1 << (SHORT_BITS - 1)) & (full.shift > widths.shift_max) & (reached >= 0.5)
    return Made(made, _short(int(short.sum()), node, widths) if short.any() else ())


def result_rescale(factor: npt.ArrayLike, widths: Widths, *, node: str) -> Made:
    """Return a factor of any other operator: a shift below ``shift_min`` becomes ``shift_min``, with a warning.

    The multiplier is then the largest there is, so results come out too small.

    Args:
        factor: float64, any shape, 0 or above.
        widths: The requantizer.
        node: User's name.
    """
    return _clamped(factor, widths, node=node)


def preload_rescale(factor: npt.ArrayLike, widths: Widths, *, left_shift: int, node: str) -> Made:
    """Return the factor of a summed input; it enters a wide accumulator, so it may shift left.

    Args:
        factor: Step of the input over step of the accumulator, ``[]`` or ``[C]``.
        widths: The requantizer.
        left_shift: Largest left shift.
        node: User's name.
    """
    wider = Widths(widths.multiplier_bits, min(widths.shift_min, -left_shift), widths.shift_max, widths.rounding)
    return _clamped(factor, wider, node=node)


def sum_factors(
    factors: Sequence[float], widths: Widths, *, node: str, reach: Sequence[int], constant: float = 0.0
) -> SumFactors:
    """Return the multipliers of a sum under one shift, that of the largest factor.

    The shift is lowered where the sum would pass ``2**ADDER_BITS``. A constant that saturates any result is cut
    to one that just does.

    Args:
        factors: Step of each operand over step of the output, 0 or above.
        widths: The requantizer.
        node: User's name.
        reach: Largest ``|x'|`` of each operand.
        constant: What scalars add, in steps of the output.
    """
    largest = max(factors, default=0.0)
    others = sum(f * r for f, r in zip(factors, reach, strict=True))
    kept = cut_constant(constant, others)
    room = ADDER_BITS - 1 - math.frexp(others + abs(kept))[1]
    shift_max = max(widths.shift_min, min(widths.shift_max, room))
    limits = Widths(widths.multiplier_bits, widths.shift_min, shift_max, widths.rounding)
    lead = _clamped(largest, limits, node=node) if largest > 0 else Made(at_shift(0.0, shift_max))
    shift = int(lead.rescale.shift)
    most = (1 << widths.multiplier_bits) - 1
    multipliers = np.minimum(at_shift(list(factors), shift).multiplier, most)
    return SumFactors(tuple(int(m) for m in multipliers), shift, round(math.ldexp(kept, shift)), lead.warnings)


def cut_constant(constant: float, others: float) -> float:
    """Return ``constant``, or the nearest one that saturates every result as it does.

    Args:
        constant: In steps of the output.
        others: Largest absolute value of what it is added to, in the same steps.
    """
    beyond = others + 2.0**18  # a result this far out is off every grid, whatever is added
    return min(max(constant, -beyond), beyond)


def _clamped(factor: npt.ArrayLike, widths: Widths, *, node: str) -> Made:
    f = np.asarray(factor, np.float64)
    full = normalized(f, widths.multiplier_bits)
    below = (f > 0) & (full.shift < widths.shift_min)
    warnings = (_lost(f, full, widths, node),) if below.any() else ()
    return Made(_held(f, full, widths), warnings)


def _held(f: npt.NDArray[np.float64], full: Rescale, widths: Widths) -> Rescale:
    """Keep shifts inside the range: fewer bits above it, the largest multiplier below it."""
    short = at_shift(np.minimum(f, 1.0), widths.shift_max)  # above 1 it is never needed, and would not fit int64
    most = (1 << widths.multiplier_bits) - 1
    multiplier = np.where(full.shift > widths.shift_max, short.multiplier, full.multiplier)
    multiplier = np.where(full.shift < widths.shift_min, np.where(f > 0, most, 0), multiplier)
    shift = np.clip(full.shift, widths.shift_min, widths.shift_max)
    return Rescale(np.asarray(multiplier, np.int64), np.asarray(shift, np.int64))


def _lost(f: npt.NDArray[np.float64], full: Rescale, widths: Widths, node: str) -> Warned:
    most = (1 << widths.multiplier_bits) - 1
    wanted = float(f.max())
    got = math.ldexp(most, -widths.shift_min)
    q = int(full.shift[f > 0].min())
    return Warned(
        code="shift-clamped",
        node=node,
        text=(
            f"OP:{node}, q_rst: {q} < {widths.shift_min}, q_rst={widths.shift_min} is used: the factor {wanted:.6g} "
            f"becomes {got:.6g}, results come out {wanted / got:.3g} times too small. Other calibration data, or "
            "another method, gives other steps."
        ),
        values={"q_rst": q, "used": widths.shift_min, "factor": wanted, "got": got},
    )


def _short(channels: int, node: str, widths: Widths) -> tuple[Warned, ...]:
    return (
        Warned(
            code="multiplier-short",
            node=node,
            text=(
                f"OP:{node}: {channels} channel(s) would need a right shift above {widths.shift_max}; at "
                f"{widths.shift_max} their multipliers keep fewer than {SHORT_BITS} bits."
            ),
            values={"channels": channels, "shift_max": widths.shift_max},
        ),
    )
