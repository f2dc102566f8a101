"""Factors of means: ``s_in / (s_out * count)``, with the count of each window where the border counts fewer values.

See docs/numerics.md#means.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from search.quant.grid import Grid
from search.simulator.making.factors import Made, result_rescale
from search.simulator.program import Window
from search.simulator.rescale import Int64Array, Widths
from search.simulator.windows import output_sizes


def window_counts(sizes: Sequence[int], window: Window, *, include_pad: bool) -> Int64Array:
    """Return how many values each window counts: int64 of the spatial output shape.

    Args:
        sizes: Spatial input shape.
        window: The window.
        include_pad: Whether stated padding counts. What a last window of ceil mode reaches beyond it never does.
    """
    places = output_sizes(sizes, window)
    per_axis = [_axis_counts(size, places[axis], window, axis, include_pad) for axis, size in enumerate(sizes)]
    return np.asarray(reduce(np.multiply.outer, per_axis), np.int64)


def mean_rescale(in_grid: Grid, out_grid: Grid, counts: int | Int64Array, widths: Widths, *, node: str) -> Made:
    """Return the factor of a mean: ``[]`` where all counts are equal, else one per output position.

    Args:
        in_grid: Of the input.
        out_grid: Of the output.
        counts: One number, or of the spatial output shape; a window that sees padding alone (0) gives 0.
        widths: The requantizer.
        node: User's name.
    """
    n = np.asarray(counts, np.float64)
    if n.size and np.all(n == n.flat[0]):
        n = np.asarray(n.flat[0], np.float64)
    factor = np.where(n > 0, in_grid.scale / (out_grid.scale * np.maximum(n, 1.0)), 0.0)
    return result_rescale(factor, widths, node=node)


def _axis_counts(size: int, places: int, window: Window, axis: int, include_pad: bool) -> Int64Array:
    """Return how many of the kernel's values lie inside along one axis, for each place."""
    begin, end = window.pads[axis], window.pads[len(window.kernel) + axis]
    starts = np.arange(places) * window.strides[axis] - begin
    seen = starts[:, None] + np.arange(window.kernel[axis]) * window.dilations[axis]
    low, high = (-begin, size + end) if include_pad else (0, size)
    return np.asarray(((seen >= low) & (seen < high)).sum(axis=1), np.int64)
