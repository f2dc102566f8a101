"""From one scale to another in integers: ``y = round_shift(v * multiplier, shift)``.

A real factor ``f > 0`` becomes ``multiplier * 2**-shift`` with a multiplier of exactly ``multiplier_bits`` bits. The
shift must lie in the range of the chip. See docs/numerics.md#rescale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Int64Array: TypeAlias = npt.NDArray[np.int64]
Rounding: TypeAlias = Literal["half_up", "half_even", "half_away"]


@dataclass(frozen=True, eq=False)
class Rescale:
    """A factor as an integer multiplier and a right shift.

    Attributes:
        multiplier: int64, 0 or above; one number ``[]`` or one per channel ``[C]``.
        shift: int64, same shape. Below 0 it is a left shift; only the preload of an accumulator may have one.
    """

    multiplier: Int64Array
    shift: Int64Array


@dataclass(frozen=True)
class Widths:
    """What the requantizer of a chip can do.

    Attributes:
        multiplier_bits: Width of the multiplier, an unsigned number.
        shift_min: Smallest right shift.
        shift_max: Largest right shift.
        rounding: What happens to ties.
    """

    multiplier_bits: int
    shift_min: int
    shift_max: int
    rounding: Rounding = "half_up"


def normalized(factor: npt.ArrayLike, bits: int) -> Rescale:
    """Return ``factor`` as a multiplier in ``[2**(bits-1), 2**bits)`` and whatever shift that takes.

    Args:
        factor: float64 ``[]`` or ``[C]``, finite; 0 gives multiplier 0 and shift 0.
        bits: Width of the multiplier.
    """
    f = np.asarray(factor, dtype=np.float64)
    if not np.all(np.isfinite(f)) or np.any(f < 0):
        raise ValueError(f"A scale factor must be finite and not negative, got {f}.")
    fraction, exponent = np.frexp(f)  # f = fraction * 2**exponent, fraction in [0.5, 1)
    multiplier = np.rint(np.ldexp(fraction, bits)).astype(np.int64)
    shift = (bits - exponent).astype(np.int64)
    carried = multiplier == 1 << bits
    multiplier = np.where(carried, 1 << (bits - 1), multiplier)
    shift = np.where(f == 0, 0, shift - carried)
    return Rescale(np.asarray(multiplier, np.int64), np.asarray(shift, np.int64))


def at_shift(factor: npt.ArrayLike, shift: npt.ArrayLike) -> Rescale:
    """Return ``factor`` under a given right shift: ``multiplier = rne(factor * 2**shift)``, of fewer bits if small."""
    f, q = np.broadcast_arrays(np.asarray(factor, np.float64), np.asarray(shift, np.int64))
    return Rescale(np.rint(np.ldexp(f, q)).astype(np.int64), q.astype(np.int64))


def round_shift(v: Int64Array, shift: npt.ArrayLike, rounding: Rounding) -> Int64Array:
    """Return ``v / 2**shift`` rounded to an integer; a negative shift is an exact left shift.

    Args:
        v: int64, ``|v| < 2**62``.
        shift: int64, broadcast against ``v``, at most 62.
        rounding: Ties go up (towards +inf), to even, or away from zero.
    """
    q = np.asarray(shift, np.int64)
    right = np.maximum(q, 0)
    left = np.maximum(-q, 0)
    value = np.asarray(v, np.int64) << left
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    if rounding == "half_up":
        return np.asarray((value + half) >> right, np.int64)
    floor = value >> right
    rest = value - (floor << right)
    is_tie = (right > 0) & (rest == half)
    up = (rest > half) & (right > 0)
    tie_up = (floor & 1) == 1 if rounding == "half_even" else value > 0
    return np.asarray(floor + (up | (is_tie & tie_up)), np.int64)


def apply(v: Int64Array, rescale: Rescale, rounding: Rounding, *, axis: int | None = None) -> Int64Array:
    """Return ``round_shift(v * multiplier, shift)``.

    Args:
        v: int64.
        rescale: One factor, or one per index of ``axis``.
        rounding: Of ties.
        axis: Channel axis of ``v`` where ``rescale`` has one factor per channel.
    """
    multiplier, shift = along(rescale.multiplier, v.ndim, axis), along(rescale.shift, v.ndim, axis)
    return round_shift(v * multiplier, shift, rounding)


def along(values: npt.NDArray[np.int64], rank: int, axis: int | None) -> npt.NDArray[np.int64]:
    """Shape per-channel values ``[C]`` so that they broadcast along ``axis`` of an array with ``rank`` axes."""
    if values.ndim == 0 or axis is None:
        return values
    shape = [1] * rank
    shape[axis] = values.size
    return values.reshape(shape)
