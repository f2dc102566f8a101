"""Grids of constant weights: the exact range of each output channel (or of the whole tensor), never clipped.

Always derived from the float weights. See docs/numerics.md#weights.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from search.arrays import Array
from search.errors import InvalidDataError
from search.quant.grid import (
    DoubleArray,
    FloatArray,
    IntArray,
    ScaleRule,
    asymmetric_parameters,
    grid_parameters,
    integer_dtype,
    reduced_parameters,
    symmetric_parameters,
)

Symmetric: TypeAlias = Literal["auto"] | bool


def weight_grids(
    w: FloatArray,
    axis: int | None,
    bits: int,
    rule: ScaleRule,
    symmetric: Symmetric = "auto",
    *,
    reduced: bool = False,
    name: str = "weights",
) -> tuple[FloatArray, IntArray]:
    """Return the scales and zero points of a weight tensor.

    All-zero channels and those too small for a normal float32 scale get scale 1.

    Args:
        w: Float32 weights.
        axis: Output-channel axis (negative counts from the end); None for one grid.
        bits: 8 or 16.
        rule: Decides the scale formula and whether the integers are signed.
        symmetric: ``"auto"`` is symmetric for signed integers.
        reduced: Whether the integers stay in ``[-64, 64]``; for int8.
        name: Name of the initializer, for messages.

    Returns:
        Scales (float32) and zero points (in the integer dtype, which carries the sign):
        ``[C]`` per channel, ``[]`` per tensor.

    Raises:
        InvalidDataError: If a weight is NaN or infinite.
        ValueError: If the rule is ``POWER`` and ``symmetric`` is False: it has no zero point; if ``reduced`` is
            asked of other integers than int8.
    """
    bottom, top = _ends(w, axis, name)
    wanted = rule.symmetric if symmetric == "auto" else symmetric
    if reduced:
        return reduced_parameters(bottom, top, integer_dtype(bits, signed=rule.signed), symmetric=wanted)
    if wanted == rule.symmetric:
        return grid_parameters(bottom, top, bits=bits, rule=rule)
    if rule is ScaleRule.POWER:
        raise ValueError("The power rule is symmetric; symmetric must be 'auto' or True.")
    parameters = symmetric_parameters if wanted else asymmetric_parameters
    return parameters(bottom, top, integer_dtype(bits, signed=rule.signed))


def quantize_weights(w: FloatArray, scales: FloatArray, zps: IntArray, axis: int | None, bits: int) -> IntArray:
    """Return integer weights, ``clamp(round_half_even(w / scale) + zero_point)``, in the dtype of ``zps``.

    Raises:
        ValueError: If the dtype of ``zps`` does not have ``bits`` bits.
    """
    if zps.dtype.itemsize * 8 != bits:
        raise ValueError(f"Zero points of {bits}-bit weights cannot be {zps.dtype}.")
    limits = np.iinfo(zps.dtype)
    scale = _along(scales, axis, w.ndim)
    offset = _along(zps, axis, w.ndim).astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        steps = w / scale
    return np.asarray(np.clip(np.rint(steps) + offset, limits.min, limits.max)).astype(zps.dtype)


def dequantize_weights(q: IntArray, scales: FloatArray, zps: IntArray, axis: int | None) -> FloatArray:
    """Return ``(q - zero_point) * scale`` in float32."""
    steps = q.astype(np.int32) - _along(zps, axis, q.ndim).astype(np.int32)
    with np.errstate(over="ignore"):
        return np.asarray(steps.astype(np.float32) * _along(scales, axis, q.ndim), np.float32)


def _ends(w: FloatArray, axis: int | None, name: str) -> tuple[DoubleArray, DoubleArray]:
    """Return smallest and largest weight per channel, or of all; 0 where there is none."""
    if w.dtype != np.float32:
        raise ValueError(f"Only float32 weights can be quantized, {name!r} is {w.dtype}.")
    n_bad = w.size - int(np.count_nonzero(np.isfinite(w)))
    if n_bad:
        raise InvalidDataError(
            f"Initializer {name!r} holds {n_bad} NaN or infinite values of {w.size}. "
            "Weights must be finite: export the model again from a sound checkpoint."
        )
    others = None if axis is None else tuple(i for i in range(w.ndim) if i != axis % w.ndim)
    bottom = np.min(w, axis=others, initial=0.0)
    top = np.max(w, axis=others, initial=0.0)
    return np.asarray(bottom, np.float64), np.asarray(top, np.float64)


def _along(values: Array, axis: int | None, ndim: int) -> Array:
    """Return per-channel values shaped to broadcast along ``axis``: ``[C], axis 1 of 4 -> [1, C, 1, 1]``."""
    if axis is None:
        return values
    shape = [1] * ndim
    shape[axis] = -1
    return values.reshape(shape)
