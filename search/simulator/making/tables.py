"""Tables of unary functions: 256 entries for 8 bit inputs, 1024 segments for 16 bit inputs.

``entry = clamp(rne(f(x) / s_out * 2**fraction_bits))``. See docs/numerics.md#tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from search.quant.grid import DoubleArray, Grid
from search.simulator.rescale import Int64Array

SEGMENT_BITS = 6
"""A 16 bit input is cut into 1024 segments of 64 integers."""

FRACTION_BITS = 8
"""Of the entries between which an 8 bit result lies: 16 bit entries."""


@dataclass(frozen=True, eq=False)
class Entries:
    """A table as ``Table`` reads it.

    Attributes:
        entries: int64.
        segment_bits: 0 for direct entries.
        fraction_bits: Of the entries.
    """

    entries: Int64Array
    segment_bits: int
    fraction_bits: int


def table(function: Callable[[DoubleArray], DoubleArray], in_grid: Grid, out_grid: Grid) -> Entries:
    """Return the table of ``function``; it gets float64 and may return infinities and NaN."""
    with np.errstate(all="ignore"):
        values = function(table_points(in_grid))
    return entries_of(values, in_grid, out_grid)


def table_points(in_grid: Grid) -> DoubleArray:
    """Return the reals a table of this input needs its function at: 256, or 1025 for 16 bit.

    The last of 1025 points is one step beyond the grid.
    """
    stride = 1 if in_grid.bits == 8 else 1 << SEGMENT_BITS
    integers = np.arange(in_grid.qmin, in_grid.qmax + (1 if in_grid.bits == 8 else 2), stride)
    return np.asarray((integers - in_grid.zero_point) * in_grid.scale, np.float64)


def entries_of(values: DoubleArray, in_grid: Grid, out_grid: Grid) -> Entries:
    """Return the table of a function from its values at ``table_points(in_grid)``.

    Infinities saturate, NaN is the lowest integer, as in Quantize.

    Raises:
        ValueError: If the number of values is not that of the points.
    """
    expected = table_points(in_grid).shape
    if np.shape(values) != expected:
        raise ValueError(f"A table of {in_grid.bits} bit needs {expected[0]} values, got {np.shape(values)}.")
    segment_bits = 0 if in_grid.bits == 8 else SEGMENT_BITS
    fraction_bits = FRACTION_BITS if segment_bits and out_grid.bits == 8 else 0
    low, high = out_grid.qmin - out_grid.zero_point, out_grid.qmax - out_grid.zero_point
    with np.errstate(over="ignore", invalid="ignore"):
        steps = np.asarray(values, np.float64) / out_grid.scale
    steps = np.clip(np.where(np.isnan(steps), low, steps), low, high)
    return Entries(np.rint(np.ldexp(steps, fraction_bits)).astype(np.int64), segment_bits, fraction_bits)
