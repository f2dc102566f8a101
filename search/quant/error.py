"""Expected squared error of a grid on a histogram, rounding and clipping together.

With ``u = x / scale`` and ``n = clamp(round(u), qmin - zero_point, qmax - zero_point)`` the antiderivative
of ``(u - n)**2`` is ``F(u) = n / 12 + (u - n)**3 / 3``, so an interval of equally likely values ``[a, b]``
costs ``scale**3 * (F(b / scale) - F(a / scale)) / (b - a)`` each. See docs/numerics.md#density.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from search.quant.density import Density, density_of
from search.quant.grid import Grid, ScaleRule, grid_parameters, integer_dtype
from search.quant.histogram import Histogram

DoubleArray: TypeAlias = npt.NDArray[np.float64]

_BLOCK = 1 << 15
"""Elements of one block of candidates times edges: its buffers stay in the processor's cache."""


def mean_squared_error(histogram: Histogram, grid: Grid) -> float:
    """Return the expected ``(x - fake_quantize(x))**2`` over the finite values; 0 when there are none."""
    if not histogram.n_finite:
        return 0.0
    lowest = np.array([grid.qmin - grid.zero_point], np.float64)
    highest = np.array([grid.qmax - grid.zero_point], np.float64)
    return float(_errors(density_of(histogram), np.array([grid.scale]), lowest, highest)[0])


def range_errors(density: Density, lows: DoubleArray, highs: DoubleArray, *, bits: int, rule: ScaleRule) -> DoubleArray:
    """Return the mean squared error of the grid of each range.

    Args:
        density: The values; at least one.
        lows: Lower ends, ``[m]``.
        highs: Upper ends, ``[m]``.
        bits: 8 or 16.
        rule: How a range becomes a grid.

    Returns:
        Errors, ``[m]``.
    """
    scales, zero_points = grid_parameters(lows, highs, bits=bits, rule=rule)
    limits = np.iinfo(integer_dtype(bits, signed=rule.signed))
    offsets = zero_points.astype(np.float64)
    return _errors(density, scales.astype(np.float64), limits.min - offsets, limits.max - offsets)


def _errors(density: Density, scales: DoubleArray, lowest: DoubleArray, highest: DoubleArray) -> DoubleArray:
    """Return the mean squared error of each grid, ``[m]``."""
    widths = np.diff(density.edges)
    per_width = np.divide(density.counts, widths, out=np.zeros_like(widths), where=widths > 0)
    # sum_k d_k * (F_{k+1} - F_k), arranged by edge.
    per_edge = -np.diff(per_width, prepend=0.0, append=0.0)
    totals = np.empty(scales.size)
    n_rows = max(1, _BLOCK // max(1, density.edges.size))
    for start in range(0, scales.size, n_rows):
        rows = slice(start, start + n_rows)
        scale, low, high = scales[rows, None], lowest[rows, None], highest[rows, None]
        # Multiply and sum, not a matrix product: that sums in an order which depends on the number of threads.
        areas = (_antiderivative(density.edges / scale, low, high) * per_edge).sum(axis=1)
        steps = density.points / scale
        off = ((steps - np.clip(np.rint(steps), low, high)) ** 2 * density.point_counts).sum(axis=1)
        totals[rows] = areas * scales[rows] ** 3 + off * scales[rows] ** 2
    return np.maximum(totals, 0.0) / density.n_finite


def _antiderivative(steps: DoubleArray, lowest: DoubleArray, highest: DoubleArray) -> DoubleArray:
    """Return ``F(u)`` of the file's formula for each row of steps."""
    nearest = np.rint(steps)
    np.clip(nearest, lowest, highest, out=nearest)
    steps -= nearest
    cubes = steps * steps
    cubes *= steps
    cubes /= 3.0
    nearest /= 12.0
    cubes += nearest
    return cubes
