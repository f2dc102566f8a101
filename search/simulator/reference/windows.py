"""What each place of a sliding window sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.simulator.program import Window
from search.simulator.rescale import Int64Array
from search.simulator.windows import output_sizes, overhang


def padded(x: Int64Array, window: Window, value: int) -> Int64Array:
    """Return ``x`` ``[N, C, in...]`` with ``value`` around it, as far as the last window reaches."""
    rank = len(window.kernel)
    beyond = overhang(x.shape[2:], window)
    around = [(window.pads[i], window.pads[rank + i] + beyond[i]) for i in range(rank)]
    return np.pad(x, [(0, 0), (0, 0), *around], constant_values=value)


def view(whole: Int64Array, window: Window, offset: Sequence[int], sizes: Sequence[int]) -> Int64Array:
    """Return what every window sees at ``offset`` of its kernel: ``[N, C, out...]``.

    Args:
        whole: The padded input.
        window: The window.
        offset: Index into the kernel.
        sizes: Spatial shape before the padding.
    """
    places = output_sizes(sizes, window)
    slices = tuple(
        slice(at * dilation, at * dilation + (count - 1) * stride + 1, stride)
        for at, dilation, count, stride in zip(offset, window.dilations, places, window.strides, strict=True)
    )
    return whole[(slice(None), slice(None), *slices)]
