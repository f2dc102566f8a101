"""Integer grids of tensors: scale and zero point from a range, and the way there and back.

``q = clamp(round_half_even(x / scale) + zero_point, qmin, qmax)`` and ``x' = (q - zero_point) * scale``,
both in float32 as ONNX ``QuantizeLinear`` and ``DequantizeLinear`` compute them.
See docs/numerics.md#quantize.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from search.arrays import Array, DType, Floating

FloatArray: TypeAlias = npt.NDArray[np.float32]
DoubleArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = Array
"""Integers of a grid: int8, uint8, int16 or uint16; which one is known at run time only."""

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""Smallest normal float32. A range that needs a finer scale gets scale 1, as in ONNX Runtime."""

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)

_DTYPES: dict[tuple[int, bool], DType] = {
    (8, True): np.dtype(np.int8),
    (8, False): np.dtype(np.uint8),
    (16, True): np.dtype(np.int16),
    (16, False): np.dtype(np.uint16),
}


class ScaleRule(Enum):
    """How a target turns a range into a scale and a zero point."""

    POWER = "power"
    ORT_SYMMETRIC = "ort_symmetric"
    ORT_ASYMMETRIC = "ort_asymmetric"

    @property
    def signed(self) -> bool:
        """Whether the integers of this rule are signed."""
        return self is not ScaleRule.ORT_ASYMMETRIC

    @property
    def symmetric(self) -> bool:
        """Whether the zero point is fixed and both signs share one threshold."""
        return self is not ScaleRule.ORT_ASYMMETRIC


@dataclass(frozen=True, slots=True)
class Grid:
    """The integer grid of one tensor.

    Attributes:
        scale: Step between two neighbours; a normal float32 value, above 0.
        zero_point: The integer that stands for 0.0, in ``[qmin, qmax]``.
        bits: 8 or 16.
        signed: Whether the integers are signed.
    """

    scale: float
    zero_point: int
    bits: int
    signed: bool

    def __post_init__(self) -> None:
        if not np.isfinite(self.scale) or self.scale <= 0 or self.scale > LARGEST_FLOAT32:
            raise ValueError(f"scale must be finite and above 0, got {self.scale}.")
        if float(np.float32(self.scale)) != self.scale:
            raise ValueError(f"scale must be exactly a float32 value, got {self.scale!r}.")
        if not self.qmin <= self.zero_point <= self.qmax:
            raise ValueError(f"zero_point must be in [{self.qmin}, {self.qmax}], got {self.zero_point}.")

    @property
    def dtype(self) -> DType:
        """Integer dtype of the grid: int8, uint8, int16 or uint16."""
        return integer_dtype(self.bits, signed=self.signed)

    @property
    def qmin(self) -> int:
        """Smallest integer."""
        return int(np.iinfo(self.dtype).min)

    @property
    def qmax(self) -> int:
        """Largest integer."""
        return int(np.iinfo(self.dtype).max)

    @property
    def low(self) -> float:
        """Smallest real value of the grid, exact in float64."""
        return (self.qmin - self.zero_point) * self.scale

    @property
    def high(self) -> float:
        """Largest real value of the grid, exact in float64."""
        return (self.qmax - self.zero_point) * self.scale

    @property
    def threshold(self) -> float:
        """``scale * 2**(bits-1)``: what Horizon's tools call the threshold. Not the largest value: that is ``high``."""
        return self.scale * 2.0 ** (self.bits - 1)


def integer_dtype(bits: int, *, signed: bool) -> DType:
    """Return the integer dtype of this width.

    Raises:
        ValueError: If ``bits`` is neither 8 nor 16.
    """
    try:
        return _DTYPES[bits, signed]
    except KeyError:
        raise ValueError(f"bits must be 8 or 16, got {bits}.") from None


def make_grid(low: float, high: float, *, bits: int, rule: ScaleRule) -> Grid:
    """Return the grid of ``rule`` that covers ``[low, high]`` widened to contain 0.

    The ends are rounded to float32 first, the type of the data. An all-zero range, or one so small
    that the scale would be subnormal, gives scale 1.

    Raises:
        ValueError: If an end is not a finite float32 value, or ``low > high``.
    """
    scales, zero_points = grid_parameters(np.array([low]), np.array([high]), bits=bits, rule=rule)
    return Grid(scale=float(scales[0]), zero_point=int(zero_points[0]), bits=bits, signed=rule.signed)


def grid_from_threshold(threshold: float, bits: int) -> Grid:
    """Return Horizon's grid of a fixed threshold: ``scale = threshold / 2**(bits-1)``, rounded to float32.

    Raises:
        ValueError: If ``threshold`` is not finite and above 0.
    """
    return grid_from_scale(threshold / 2.0 ** (bits - 1), 0, bits, True)


def grid_from_scale(scale: float, zero_point: int, bits: int, signed: bool) -> Grid:
    """Return the grid of a fixed scale (rounded to float32) and zero point.

    Raises:
        ValueError: If the scale is not finite and above 0 in float32, or the zero point is off the grid.
    """
    if not abs(scale) <= LARGEST_FLOAT32:
        raise ValueError(f"scale must be finite and above 0, got {scale}.")
    return Grid(scale=float(np.float32(scale)), zero_point=zero_point, bits=bits, signed=signed)


def grid_parameters(
    lows: npt.NDArray[Floating], highs: npt.NDArray[Floating], *, bits: int, rule: ScaleRule
) -> tuple[FloatArray, IntArray]:
    """Return scales and zero points of many ranges at once; ``make_grid`` for arrays.

    Args:
        lows: Lower ends, any shape.
        highs: Upper ends, same shape.
        bits: 8 or 16.
        rule: How a range becomes a scale.

    Returns:
        Scales (float32) and zero points (in the grid's integer dtype), both in the shape of ``lows``.

    Raises:
        ValueError: If an end is not a finite float32 value, or a low end is above its high end.
    """
    dtype = integer_dtype(bits, signed=rule.signed)
    bottom = np.minimum(_as_float32(lows), 0.0)
    top = np.maximum(_as_float32(highs), 0.0)
    if np.any(np.asarray(lows) > np.asarray(highs)):
        raise ValueError("The low end of a range must not be above its high end.")
    match rule:
        case ScaleRule.POWER:
            return _power_scales(bottom, top, bits), np.zeros(bottom.shape, dtype)
        case ScaleRule.ORT_SYMMETRIC:
            return symmetric_parameters(bottom, top, dtype)
        case ScaleRule.ORT_ASYMMETRIC:
            return asymmetric_parameters(bottom, top, dtype)


REDUCED = 64
"""Largest integer of a weight in seven bits, ONNX Runtime's ``reduce_range``: ``-64..64``."""


def reduced_parameters(
    bottom: DoubleArray, top: DoubleArray, dtype: DType, *, symmetric: bool
) -> tuple[FloatArray, IntArray]:
    """Return scales and zero points that keep every integer in ``[-64, 64]``, as ONNX Runtime's ``reduce_range`` does.

    ``T / 64`` and zero point 0, or ``(top - bottom) / 128`` and ``round_half_even(-64 - bottom / scale)``.

    Args:
        bottom: Lower ends, at most 0.
        top: Upper ends, at least 0, same shape.
        dtype: int8.
        symmetric: Whether the zero point is 0.

    Raises:
        ValueError: If ``dtype`` is not int8.
    """
    if dtype != np.int8:
        raise ValueError(f"Only int8 weights have a reduced range, got {dtype}.")
    scales = (np.maximum(-bottom, top) if symmetric else (top - bottom) / 2.0) / REDUCED
    usable = scales >= SMALLEST_SCALE
    scales = np.where(usable, scales, 1.0)
    middle = 0.0 if symmetric else np.rint(-REDUCED - bottom / scales)
    return scales.astype(np.float32), np.where(usable, middle, 0.0).astype(dtype)


def symmetric_parameters(bottom: DoubleArray, top: DoubleArray, dtype: DType) -> tuple[FloatArray, IntArray]:
    """Return ``2*T / (qmax - qmin)`` with ``T`` the larger absolute end, and the middle zero point.

    Signed types use ``qmin = -qmax`` here (the narrow range of ONNX Runtime), so T itself is on the grid;
    unsigned types use all their values around ``2**(bits-1)``.
    """
    limits = np.iinfo(dtype)
    n_steps = 2.0 * limits.max if limits.min < 0 else float(limits.max)
    zero_point = 0 if limits.min < 0 else (int(limits.max) + 1) // 2
    scales = 2.0 * np.maximum(-bottom, top) / n_steps
    usable = scales >= SMALLEST_SCALE
    zero_points = np.where(usable, zero_point, 0).astype(dtype)
    return np.where(usable, scales, 1.0).astype(np.float32), zero_points


def asymmetric_parameters(bottom: DoubleArray, top: DoubleArray, dtype: DType) -> tuple[FloatArray, IntArray]:
    """Return ``(top - bottom) / (qmax - qmin)`` and ``round_half_even(qmin - bottom / scale)``.

    The zero point is computed with the float64 scale, before that is rounded to float32.
    """
    limits = np.iinfo(dtype)
    scales = (top - bottom) / (float(limits.max) - float(limits.min))
    usable = scales >= SMALLEST_SCALE
    scales = np.where(usable, scales, 1.0)
    zero_points = np.where(usable, np.rint(limits.min - bottom / scales), 0.0)
    return scales.astype(np.float32), zero_points.astype(dtype)


def _power_scales(bottom: DoubleArray, top: DoubleArray, bits: int) -> FloatArray:
    """Return the smallest float32 scales whose grid covers both ends without clipping.

    ``scale = T / 2**(bits-1)`` with ``T = max(|low|, high * 2**(bits-1) / (2**(bits-1) - 1))``.
    """
    n_negative = 2.0 ** (bits - 1)
    n_positive = n_negative - 1.0
    exact = np.maximum(-bottom / n_negative, top / n_positive)
    scales = exact.astype(np.float32)
    # A scale has 24 bits, a level at most 16: these float64 products are exact.
    short = (scales.astype(np.float64) * n_positive < top) | (scales.astype(np.float64) * n_negative < -bottom)
    scales = np.where(short, np.nextafter(scales, np.float32(np.inf)), scales)
    return np.where(scales >= SMALLEST_SCALE, scales, np.float32(1.0)).astype(np.float32)


def _as_float32(ends: npt.NDArray[Floating]) -> DoubleArray:
    """Return ``ends`` rounded to float32, held in float64."""
    values = np.asarray(ends, dtype=np.float64)
    if not np.all(np.abs(values) <= LARGEST_FLOAT32):
        raise ValueError("The ends of a range must be finite float32 values.")
    return values.astype(np.float32).astype(np.float64)


def quantize(x: FloatArray, grid: Grid) -> IntArray:
    """Return ``x`` on the integer grid, in ``grid.dtype`` and the shape of ``x``.

    The division is float32, ties go to the even integer, infinities saturate. NaN gives ``qmin``.

    Raises:
        ValueError: If ``x`` is not float32.
    """
    steps = _steps(x, grid)
    steps += np.float32(grid.zero_point)
    return steps.astype(grid.dtype)


def dequantize(q: IntArray, grid: Grid) -> FloatArray:
    """Return ``(q - zero_point) * scale`` in float32.

    Only a grid whose ends pass the largest float32 can give an infinity.
    """
    steps = (np.asarray(q).astype(np.int32) - grid.zero_point).astype(np.float32)
    with np.errstate(over="ignore"):
        return np.asarray(steps * np.float32(grid.scale))


def fake_quantize(x: FloatArray, grid: Grid) -> FloatArray:
    """Return the float image of ``x`` on the grid: ``dequantize(quantize(x))`` without the integers between.

    Raises:
        ValueError: If ``x`` is not float32.
    """
    steps = _steps(x, grid)
    steps += np.float32(0.0)  # -0.0 becomes 0.0, as on the way over integers
    with np.errstate(over="ignore"):
        return np.multiply(steps, np.float32(grid.scale), out=steps)


def _steps(x: FloatArray, grid: Grid) -> FloatArray:
    """Return ``q - zero_point`` as float32; exact, since it is below ``2**24``."""
    values = np.asarray(x)
    if values.dtype != np.float32:
        raise ValueError(f"Only float32 values can be quantized, got {values.dtype}.")
    lowest = np.float32(grid.qmin - grid.zero_point)
    highest = np.float32(grid.qmax - grid.zero_point)
    steps = np.empty_like(values)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        np.divide(values, np.float32(grid.scale), out=steps)
    # fmax, not maximum: NaN becomes the lowest level, as in ONNX Runtime.
    np.fmax(steps, lowest, out=steps)
    np.minimum(steps, highest, out=steps)
    return np.rint(steps, out=steps)


def quantize_bias(bias: FloatArray, scale_x: float, scales_w: FloatArray | float) -> tuple[npt.NDArray[np.int32], bool]:
    """Return the bias as int32 with ``scale = float32(scale_x * scale_w)``, and whether a value did not fit.

    ``q = round_half_even(bias / scale)``, divided in float64 as ONNX Runtime's quantizer does.

    Args:
        bias: Float32 bias, ``[C]``.
        scale_x: Scale of the activation input.
        scales_w: One weight scale, or one per channel ``[C]``.

    Returns:
        The int32 bias (saturated where it does not fit) and ``True`` if any value overflowed,
        is not finite, or the product of the scales is 0 or infinite in float32. Such a bias stays float.
    """
    with np.errstate(over="ignore", under="ignore"):
        scales = np.float32(scale_x) * np.asarray(scales_w, dtype=np.float32)
    usable = np.isfinite(scales) & (scales > 0)
    limits = np.iinfo(np.int32)
    exact = np.asarray(bias, dtype=np.float64) / np.where(usable, scales, np.float32(1.0)).astype(np.float64)
    rounded = np.rint(exact)
    fits = (rounded >= limits.min) & (rounded <= limits.max)
    saturated = np.clip(np.nan_to_num(rounded, nan=0.0), limits.min, limits.max).astype(np.int32)
    return saturated, not bool(np.all(usable) and np.all(fits))
