"""How many places a convolution or pooling window has along each axis.

``out = floor_or_ceil((in + begin + end - ((kernel - 1) * dilation + 1)) / stride) + 1``; in ceil mode a last window
that would start behind the input and its begin padding is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.simulator.steps.base import Window


def output_sizes(sizes: Sequence[int], window: Window) -> tuple[int, ...]:
    """Return the spatial output shape of ``window`` over spatial axes of ``sizes`` (convolution and pooling).

    Raises:
        ValueError: If the window is larger than the padded input.
    """
    return tuple(_places(size, window, axis) for axis, size in enumerate(sizes))


def overhang(sizes: Sequence[int], window: Window) -> tuple[int, ...]:
    """Return by how much the last window passes the end padding, per axis: above 0 only in ceil mode."""
    places = output_sizes(sizes, window)
    rank = len(window.kernel)
    ends = [
        (count - 1) * stride + (kernel - 1) * dilation + 1
        for count, stride, kernel, dilation in zip(places, window.strides, window.kernel, window.dilations, strict=True)
    ]
    padded = [size + window.pads[axis] + window.pads[rank + axis] for axis, size in enumerate(sizes)]
    return tuple(max(0, end - whole) for end, whole in zip(ends, padded, strict=True))


def transposed_sizes(sizes: Sequence[int], window: Window) -> tuple[int, ...]:
    """Return the spatial output shape of a ConvTranspose over spatial axes of ``sizes``."""
    rank = len(window.kernel)
    extra = window.output_padding or (0,) * rank
    return tuple(
        (size - 1) * window.strides[axis]
        + (window.kernel[axis] - 1) * window.dilations[axis]
        + 1
        + extra[axis]
        - window.pads[axis]
        - window.pads[rank + axis]
        for axis, size in enumerate(sizes)
    )


def _places(size: int, window: Window, axis: int) -> int:
    stride, begin, end = window.strides[axis], window.pads[axis], window.pads[len(window.kernel) + axis]
    reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1
    room = size + begin + end - reach
    if room < 0:
        raise ValueError(
            f"A window that reaches over {reach} values does not fit into {size + begin + end} of axis {axis}."
        )
    places = (-(-room // stride) if window.ceil_mode else room // stride) + 1
    starts_outside = (places - 1) * stride >= size + begin
    return places - 1 if window.ceil_mode and starts_outside else places
