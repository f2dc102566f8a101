"""Constants of a gemm in units of its accumulator: bias, bounds, and weights made coarser where the bias needs it.

``s_acc = s_x * s_w`` (float64); ``bias_int = rne(bias / s_acc)``. See docs/numerics.md#gemm-constants.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.arrays import Floating
from search.simulator.making.infeasible import Infeasible
from search.simulator.program import Warned
from search.simulator.rescale import Int64Array, along
from search.simulator.steps.gemm import DoubleArray


@dataclass(frozen=True, eq=False)
class GemmConstants:
    """What a gemm holds besides its factors.

    Attributes:
        weights: int64 without zero point, coarser in some channels where it had to be; None for two values.
        weight_scales: Their steps, ``[]`` or ``[C]``.
        bias: int64 in units of the accumulator, or None.
        scales: Step of the accumulator, ``[]`` or ``[C]``.
        warnings: What was lost.
    """

    weights: Int64Array | None
    weight_scales: DoubleArray
    bias: Int64Array | None
    scales: DoubleArray
    warnings: tuple[Warned, ...] = ()


def bias_integers(
    bias: npt.NDArray[Floating] | None,
    input_scale: float,
    weight_scales: npt.ArrayLike,
    *,
    weights: Int64Array | None,
    weight_axis: int,
    axis: int | None,
    acc_bits: int,
    node: str,
) -> GemmConstants:
    """Return the bias in units of the accumulator; a channel whose bias does not fit gets coarser weights.

    Such a channel has weights of a tiny step and a bias far above it (a BatchNorm over a dead channel). With
    ``w' = rne(w / 2**k)``, ``s_w' = s_w * 2**k`` and the smallest ``k`` that makes ``|bias_int| < 2**(acc_bits - 2)``
    half of the accumulator stays free.

    Args:
        bias: ``[]``, ``[C]``, or of the accumulator's rank (then ``axis`` is its channel axis); None for none.
        input_scale: Step of the input.
        weight_scales: Steps of the weights, ``[]`` or ``[C]``.
        weights: int64 without zero point, or None where both operands are values.
        weight_axis: Channel axis of ``weights``.
        axis: Channel axis of a bias that has the accumulator's rank; None for ``[]`` and ``[C]``.
        acc_bits: Width of the accumulator.
        node: User's name.

    Raises:
        Infeasible: If the bias does not fit and there are no weights to make coarser.
        ValueError: If the bias is not finite.
    """
    w_scales = np.asarray(weight_scales, np.float64)
    if bias is None:
        return GemmConstants(weights, w_scales, None, input_scale * w_scales)
    real = np.asarray(bias, np.float64)
    if not np.all(np.isfinite(real)):
        raise ValueError(f"{node}: the bias holds a value that is not finite.")
    scales = input_scale * w_scales
    k = _halvings(_per_channel(real, w_scales, axis), scales, acc_bits)
    warnings: tuple[Warned, ...] = ()
    if k.any():
        if weights is None:
            value = int(np.rint(np.abs(real).max() / scales.min()))
            raise Infeasible(node, "bias", value, 1 - (1 << (acc_bits - 2)), (1 << (acc_bits - 2)) - 1)
        weights, w_scales = _coarser(weights, w_scales, k, weight_axis)
        scales = input_scale * w_scales
        warnings = (_coarse(k, node),)
    steps = along_bias(scales, real, axis)
    return GemmConstants(weights, w_scales, np.rint(real / steps).astype(np.int64), scales, warnings)


def bound_integers(bound: float | None, scales: npt.ArrayLike, acc_bits: int) -> Int64Array | None:
    """Return a bound of a fused Clip or Relu in units of the accumulator: ``rne(bound / s_acc)``.

    It is held within the accumulator. None and infinity are no bound.

    Args:
        bound: The real bound.
        scales: Step of the accumulator, ``[]`` or ``[C]``.
        acc_bits: Width of the accumulator.
    """
    if bound is None or math.isinf(bound):
        return None
    limit = 2.0 ** (acc_bits - 1)
    return np.asarray(np.rint(np.clip(bound / np.asarray(scales, np.float64), -limit, limit - 1)), np.int64)


def along_bias(scales: DoubleArray, bias: DoubleArray, axis: int | None) -> DoubleArray:
    """Return per-channel steps so that they broadcast against a bias of the accumulator's rank."""
    if scales.ndim == 0 or axis is None or bias.ndim < 2:
        return scales
    shape = [1] * bias.ndim
    shape[axis] = scales.size
    return scales.reshape(shape)


def _per_channel(bias: DoubleArray, scales: DoubleArray, axis: int | None) -> DoubleArray:
    """Return the largest ``|bias|`` of every channel that has its own step (``[]`` or ``[C]``)."""
    size = np.abs(bias)
    if scales.ndim == 0:
        return np.asarray(size.max(initial=0.0))
    if bias.ndim < 2 or axis is None:
        return np.broadcast_to(size, scales.shape)
    others = tuple(i for i in range(bias.ndim) if i != axis % bias.ndim)
    return np.broadcast_to(size.max(axis=others, initial=0.0), scales.shape)


def _halvings(bias: DoubleArray, scales: DoubleArray, acc_bits: int) -> Int64Array:
    """Return the smallest ``k`` per channel with ``rne(|bias| / (scale * 2**k)) < 2**(acc_bits - 2)``."""
    limit = 2.0 ** (acc_bits - 2)
    exponent = np.frexp(bias / scales)[1].astype(np.int64)  # |bias| / scale < 2**exponent
    k = np.maximum(exponent - (acc_bits - 2) - 1, 0)
    for _ in range(2):  # the exponent is within one of the answer, and rounding may carry once more
        k = k + (np.rint(np.ldexp(bias / scales, -k)) >= limit)
    return np.asarray(k, np.int64)


def _coarser(weights: Int64Array, scales: DoubleArray, k: Int64Array, axis: int) -> tuple[Int64Array, DoubleArray]:
    shaped = along(k, weights.ndim, axis) if k.ndim else k
    coarse = np.rint(np.ldexp(weights.astype(np.float64), -shaped)).astype(np.int64)
    return coarse, np.asarray(np.ldexp(scales, k))


def _coarse(k: Int64Array, node: str) -> Warned:
    channels = [int(c) for c in np.flatnonzero(np.atleast_1d(k))]
    worst = int(k.max())
    return Warned(
        code="bias-coarser",
        node=node,
        text=(
            f"OP:{node}: the bias of {len(channels)} channel(s) is far above the step of the accumulator; their "
            f"weights lose up to {worst} bit(s) so that it fits."
        ),
        values={"channels": channels, "bits": worst},
    )
