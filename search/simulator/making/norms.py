"""Tables and constants of Softmax and LayerNormalization in integers.

See docs/numerics.md#softmax and docs/numerics.md#layer-norm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from search.quant.grid import DoubleArray, Grid
from search.simulator.making.factors import ADDER_BITS, cut_constant, result_rescale
from search.simulator.program import Warned
from search.simulator.rescale import Int64Array, Rescale, Widths

EXP_BITS = 15
"""``exp`` and its shares are held in Q15."""

EXP_END = 17 * math.log(2.0)
"""Behind this ``exp(-d)`` is below half a step of Q15 twice over: 0."""

N_SEGMENTS = 1024


@dataclass(frozen=True, eq=False)
class SoftmaxTables:
    """What a Softmax step holds.

    Attributes:
        entries: ``exp`` in Q15, falling.
        segment_bits: 0 for direct entries.
        rescale: From Q15 to the output.
        warnings: What was lost.
    """

    entries: Int64Array
    segment_bits: int
    rescale: Rescale
    warnings: tuple[Warned, ...]


@dataclass(frozen=True, eq=False)
class LayerNormConstants:
    """What a LayerNorm step holds; see there.

    Attributes:
        gamma: int64.
        beta: int64 at ``2**shift``.
        epsilon: In units of ``(scale * 2**-fraction)**2``.
        fraction: Bits of the deviations below the input's step.
        result_bits: Bits of the normalised values below 1.
        rescale: From them times gamma to the output.
        warnings: What was lost.
    """

    gamma: Int64Array
    beta: Int64Array
    epsilon: int
    fraction: int
    result_bits: int
    rescale: Rescale
    warnings: tuple[Warned, ...]


def softmax_tables(in_grid: Grid, out_grid: Grid, widths: Widths, *, node: str) -> SoftmaxTables:
    """Return the table of ``exp(-d * scale)``: an entry for each difference of 8 bit, 1024 segments for 16 bit.

    The segments are as short as they may be while the table still reaches to where ``exp`` is 0.
    """
    if in_grid.bits == 8:
        segment_bits, n_entries = 0, 256
    else:
        needed = math.ceil(math.log2(max(EXP_END / in_grid.scale / N_SEGMENTS, 1.0)))
        segment_bits, n_entries = min(needed, in_grid.bits - 10), N_SEGMENTS + 1
    differences = np.arange(n_entries, dtype=np.float64) * 2.0**segment_bits * in_grid.scale
    entries = np.minimum(np.rint(np.exp(-differences) * 2.0**EXP_BITS), 2.0**EXP_BITS - 1).astype(np.int64)
    made = result_rescale(2.0**-EXP_BITS / out_grid.scale, widths, node=node)
    return SoftmaxTables(entries, segment_bits, made.rescale, made.warnings)


def layer_norm_constants(
    in_grid: Grid,
    out_grid: Grid,
    widths: Widths,
    *,
    n: int,
    gamma: Int64Array | None,
    gamma_scale: float,
    beta: DoubleArray | None,
    epsilon: float,
    node: str,
) -> LayerNormConstants:
    """Return the constants of a LayerNorm step.

    Args:
        in_grid: Of the input.
        out_grid: Of the output.
        widths: The requantizer.
        n: How many values are normalised together.
        gamma: int64 of the normalised shape; None for 1.
        gamma_scale: Its step; not read without gamma.
        beta: Real values of the normalised shape (those of its quantized integers); None for 0.
        epsilon: Added to the variance.
        node: User's name.
    """
    fraction = root_fraction(in_grid, n, epsilon)
    result_bits = min(12, 15 - math.ceil(math.log2(n) / 2))
    weights = np.asarray(1 if gamma is None else gamma, np.int64)
    factor = (1.0 if gamma is None else gamma_scale) * 2.0**-result_bits / out_grid.scale
    added = np.zeros((), np.float64) if beta is None else np.asarray(beta, np.float64) / out_grid.scale
    others = 2.0**15 * factor * float(np.abs(weights).max(initial=0))
    kept = np.asarray([cut_constant(float(b), others) for b in added.ravel()]).reshape(added.shape)
    room = ADDER_BITS - 1 - math.frexp(others + float(np.abs(kept).max(initial=0.0)))[1]
    shift_max = max(widths.shift_min, min(widths.shift_max, room))
    limits = Widths(widths.multiplier_bits, widths.shift_min, shift_max, widths.rounding)
    made = result_rescale(factor, limits, node=node)
    return LayerNormConstants(
        gamma=weights,
        beta=np.rint(np.ldexp(kept, int(made.rescale.shift))).astype(np.int64),
        epsilon=_epsilon(epsilon, in_grid, fraction),
        fraction=fraction,
        result_bits=result_bits,
        rescale=made.rescale,
        warnings=made.warnings,
    )


def root_fraction(grid: Grid, n: int, epsilon: float = 0.0) -> int:
    """Return F: as many bits as keep ``sum d*d`` of ``n`` values and epsilon below ``2**52``, 8 at most."""
    fraction = min(8, math.floor((52 - math.log2(n)) / 2) - grid.bits)
    while fraction > 0 and epsilon / (grid.scale * 2.0**-fraction) ** 2 >= 2.0**52:
        fraction -= 1
    return max(0, fraction)


def _epsilon(epsilon: float, grid: Grid, fraction: int) -> int:
    return round(min(epsilon / (grid.scale * 2.0**-fraction) ** 2, 2.0**52))
