"""What adding an input to the accumulator of a gemm costs.

The factor of a summed input is ``s_sum / (s_x * s_w)``. A channel of tiny weights (a BatchNorm over a dead channel)
makes it huge. With ``w' = rne(w / 2**k)``, ``s_w' = s_w * 2**k`` and the smallest ``k`` that brings it into reach, the
channel loses bits of weights that hardly count, not the sum. The other way round, an accumulator whose step is coarse
is shifted left by ``lift`` bits before the sum, as far as its width has room; what is missing then rounds the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.simulator.program import Warned, Widths
from search.simulator.rescale import Int64Array, along, normalized

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedWeights:
    """Weights whose accumulator the summed input reaches.

    Attributes:
        weights: int64.
        scales: Their steps, ``[]`` or ``[C]``.
        warnings: Which channels lost how many bits.
    """

    weights: Int64Array
    scales: DoubleArray
    warnings: tuple[Warned, ...] = ()


def fit_weights(
    weights: Int64Array,
    scales: DoubleArray,
    axis: int,
    *,
    factor: DoubleArray,
    widths: Widths,
    left_shift: int,
    node: str,
) -> FittedWeights:
    """Return the weights, coarser in channels whose summed input needs more than ``left_shift``.

    Args:
        weights: int64 without zero point.
        scales: Their steps, ``[]`` or ``[C]``.
        axis: Channel axis of ``weights``.
        factor: Step of the summed input over that of the accumulator, as ``scales``.
        widths: The requantizer.
        left_shift: Largest left shift.
        node: User's name of the group.
    """
    shift_min = min(widths.shift_min, -left_shift)
    k = np.maximum(shift_min - normalized(factor, widths.multiplier_bits).shift, 0)
    if not k.any():
        return FittedWeights(weights, scales)
    shaped = along(k, weights.ndim, axis) if k.ndim else k
    coarse = np.rint(np.ldexp(weights.astype(np.float64), -shaped)).astype(np.int64)
    return FittedWeights(coarse, np.asarray(np.ldexp(scales, k)), (_coarser(k, node),))


def _coarser(k: Int64Array, node: str) -> Warned:
    channels = [int(c) for c in np.flatnonzero(np.atleast_1d(k))]
    worst = int(k.max())
    return Warned(
        code="bias-coarser",
        node=node,
        text=(
            f"OP:{node}: the summed input of {len(channels)} channel(s) is far above the step of the accumulator; "
            f"their weights lose up to {worst} bit(s) so that it fits."
        ),
        values={"channels": channels, "bits": worst},
    )


GUARD_BITS = 2  # the summed input is rounded to a quarter of its own step at most


def lift_for(scales: DoubleArray, finest: float) -> int:
    """Left shift that brings the coarsest step of an accumulator to ``finest / 2**GUARD_BITS`` or below; 0 if it is."""
    return max(0, int(np.ceil(np.log2(np.max(scales) / finest))) + GUARD_BITS)


def spare_bits(largest: DoubleArray, acc_bits: int) -> int:
    """By how many bits sums up to ``largest`` can be shifted left in an accumulator of ``acc_bits``."""
    limit = 2.0 ** (acc_bits - 1) - 1
    return max(0, int(np.floor(np.log2(limit / max(1.0, float(np.max(largest)))))))


def coarse_sum(factor: DoubleArray, *, node: str) -> tuple[Warned, ...]:
    """Warn where the accumulator's step is above the output's, so that the summed input is rounded to it.

    Args:
        factor: Step of the accumulator over that of the output, ``[]`` or ``[C]``.
        node: User's name of the group.
    """
    coarse = int(np.count_nonzero(factor > 1))
    if not coarse:
        return ()
    worst = float(np.max(factor))
    return (
        Warned(
            code="sum-coarser",
            node=node,
            text=(
                f"OP:{node}: in {coarse} channel(s) a step of the accumulator is up to {worst:.3g} steps of the output "
                "wide; bias and summed input are rounded to it."
            ),
            values={"channels": coarse, "steps": worst},
        ),
    )
