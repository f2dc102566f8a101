"""Linear and nearest Resize as one matrix or one list of indices per axis.

The place of an output value in the input is computed in float32, as ONNX Runtime does, so that ties fall alike.
See docs/numerics.md#resize.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from search.quant.grid import DoubleArray
from search.simulator.rescale import Int64Array

MATRIX_BITS = 10
"""Weights of a linear Resize are in Q10."""

TIE = 1e-6
"""A place this close to the middle between two values counts as the middle; newer ONNX Runtimes do the same."""

OUTSIDE = -1
"""Index of an output value outside the image (tf_crop_and_resize)."""

Coordinates = npt.NDArray[np.float32]


def interpolation_matrices(
    sizes_in: Sequence[int],
    sizes_out: Sequence[int],
    scales: Sequence[float] | None,
    *,
    transformation: str,
    roi: Sequence[float] | None = None,
) -> dict[int, Int64Array]:
    """Return ``linear_matrix`` of every axis that changes.

    Args:
        sizes_in: Shape of the input. Where it is that of the output nothing moves, whatever the scales; an axis
            of scale 1 is left alone, whatever the roi. Both as ONNX Runtime has it.
        sizes_out: Shape of the output.
        scales: As the node states them, or None where it states sizes.
        transformation: ``coordinate_transformation_mode``.
        roi: Starts, then ends, of every axis; read by ``tf_crop_and_resize`` alone.
    """
    return {
        axis: linear_matrix(
            sizes_in[axis],
            sizes_out[axis],
            scale=None if scales is None else scales[axis],
            transformation=transformation,
            roi=_axis_roi(roi, axis, len(sizes_in)),
        )
        for axis in _changed(sizes_in, sizes_out, scales)
    }


def interpolation_indices(
    sizes_in: Sequence[int],
    sizes_out: Sequence[int],
    scales: Sequence[float] | None,
    *,
    transformation: str,
    nearest_mode: str,
    roi: Sequence[float] | None = None,
) -> dict[int, Int64Array]:
    """Return ``nearest_indices`` of every axis that changes; arguments as in ``interpolation_matrices``."""
    return {
        axis: nearest_indices(
            sizes_in[axis],
            sizes_out[axis],
            scale=None if scales is None else scales[axis],
            transformation=transformation,
            nearest_mode=nearest_mode,
            roi=_axis_roi(roi, axis, len(sizes_in)),
        )
        for axis in _changed(sizes_in, sizes_out, scales)
    }


def linear_matrix(
    n_in: int, n_out: int, *, scale: float | None, transformation: str, roi: tuple[float, float] = (0.0, 1.0)
) -> Int64Array:
    """Return the weights of one axis in Q10, int64 ``[n_out, n_in]``.

    Rows sum to 1024: the left weight is rounded, the right one is the rest. A row outside the image
    (``tf_crop_and_resize``) is 0, which is right where ``extrapolation_value`` is 0.
    """
    places = coordinates(n_in, n_out, scale=scale, transformation=transformation, roi=roi)
    outside = _outside(places, n_in, transformation)
    inside = np.clip(places, np.float32(0), np.float32(n_in - 1))
    left = np.minimum(np.floor(inside).astype(np.int64), n_in - 1)
    right = np.minimum(left + 1, n_in - 1)
    weight = np.rint((inside.astype(np.float64) - left) * 2.0**MATRIX_BITS).astype(np.int64)
    matrix = np.zeros((n_out, n_in), np.int64)
    rows = np.arange(n_out)
    np.add.at(matrix, (rows, left), (1 << MATRIX_BITS) - weight)
    np.add.at(matrix, (rows, right), weight)
    matrix[outside] = 0
    return matrix


def nearest_indices(
    n_in: int,
    n_out: int,
    *,
    scale: float | None,
    transformation: str,
    nearest_mode: str,
    roi: tuple[float, float] = (0.0, 1.0),
) -> Int64Array:
    """Return which input value each output value of one axis takes, int64 ``[n_out]``; ``OUTSIDE`` where none.

    Raises:
        ValueError: If the mode is unknown.
    """
    places = coordinates(n_in, n_out, scale=scale, transformation=transformation, roi=roi)
    try:
        rounded = _NEAREST[nearest_mode](places)
    except KeyError:
        raise ValueError(f"Unknown nearest_mode {nearest_mode!r}; known: {sorted(_NEAREST)}.") from None
    index = np.clip(rounded.astype(np.int64), 0, n_in - 1)
    return np.where(_outside(places, n_in, transformation), OUTSIDE, index)


def coordinates(
    n_in: int, n_out: int, *, scale: float | None, transformation: str, roi: tuple[float, float] = (0.0, 1.0)
) -> Coordinates:
    """Return the place in the input of every output value of one axis, float32 ``[n_out]``.

    Args:
        n_in: Size of the input.
        n_out: Size of the output.
        scale: Stated scale, or None for ``n_out / n_in``.
        transformation: ``coordinate_transformation_mode``.
        roi: Start and end of the axis, for ``tf_crop_and_resize``.

    Raises:
        ValueError: If the transformation is unknown.
    """
    if transformation not in _PLACES:
        raise ValueError(f"Unknown coordinate_transformation_mode {transformation!r}; known: {sorted(_PLACES)}.")
    factor = np.float32(n_out) / np.float32(n_in) if scale is None else np.float32(scale)
    x = np.arange(n_out, dtype=np.float32)
    if factor == 1:
        return x
    return np.asarray(_PLACES[transformation](x, factor, n_in, n_out, roi), np.float32)


_ONE, _HALF = np.float32(1), np.float32(0.5)
_Place = Callable[[Coordinates, np.float32, int, int, tuple[float, float]], Coordinates]


def _half_pixel(x: Coordinates, scale: np.float32, n_in: int, n_out: int, roi: tuple[float, float]) -> Coordinates:
    return (x + _HALF) / scale - _HALF


def _symmetric(x: Coordinates, scale: np.float32, n_in: int, n_out: int, roi: tuple[float, float]) -> Coordinates:
    adjustment = np.float32(n_out) / (scale * np.float32(n_in))
    offset = np.float32(n_in) / np.float32(2) * (_ONE - adjustment)
    # float64 between, as the runtime's literals make it
    return (float(offset) + (x.astype(np.float64) + 0.5) / float(scale) - 0.5).astype(np.float32)


def _pytorch(x: Coordinates, scale: np.float32, n_in: int, n_out: int, roi: tuple[float, float]) -> Coordinates:
    return (x + _HALF) / scale - _HALF if n_out > 1 else np.zeros_like(x)


def _corners(x: Coordinates, scale: np.float32, n_in: int, n_out: int, roi: tuple[float, float]) -> Coordinates:
    return x * np.float32(n_in - 1) / np.float32(n_out - 1) if n_out > 1 else np.zeros_like(x)


def _tf_half(x: Coordinates, scale: np.float32, n_in: int, n_out: int, roi: tuple[float, float]) -> Coordinates:
    return (x + _HALF) / scale


def _asymmetric(x: Coordinates, scale: np.float32, n_in: int, n_out: int, roi: tuple[float, float]) -> Coordinates:
    return x / scale


def _crop(x: Coordinates, scale: np.float32, n_in: int, n_out: int, roi: tuple[float, float]) -> Coordinates:
    start, end, last = np.float32(roi[0]), np.float32(roi[1]), np.float32(n_in - 1)
    if n_out > 1:
        return start * last + (x * (end - start) * last) / np.float32(n_out - 1)
    return np.full_like(x, _HALF * (start + end) * last)


_PLACES: Mapping[str, _Place] = {
    "half_pixel": _half_pixel,
    "half_pixel_symmetric": _symmetric,
    "pytorch_half_pixel": _pytorch,
    "align_corners": _corners,
    "asymmetric": _asymmetric,
    "tf_crop_and_resize": _crop,
    "tf_half_pixel_for_nn": _tf_half,
}

_NEAREST: Mapping[str, Callable[[Coordinates], DoubleArray | Coordinates]] = {
    "round_prefer_floor": lambda x: np.ceil(_snapped(x) - 0.5),
    "round_prefer_ceil": lambda x: np.floor(_snapped(x) + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _snapped(places: Coordinates) -> DoubleArray:
    """Return places with those that float32 put next to a tie on it, in float64."""
    exact = places.astype(np.float64)
    tie = np.floor(exact) + 0.5
    return np.where(np.abs(exact - tie) <= TIE, tie, exact)


def _outside(places: Coordinates, n_in: int, transformation: str) -> npt.NDArray[np.bool_]:
    if transformation != "tf_crop_and_resize":
        return np.zeros(places.shape, np.bool_)
    return (places < 0) | (places > n_in - 1)


def _changed(sizes_in: Sequence[int], sizes_out: Sequence[int], scales: Sequence[float] | None) -> list[int]:
    if tuple(sizes_in) == tuple(sizes_out):
        return []
    return [
        axis
        for axis in range(len(sizes_in))
        if sizes_in[axis] != sizes_out[axis] or (scales is not None and np.float32(scales[axis]) != 1)
    ]


def _axis_roi(roi: Sequence[float] | None, axis: int, rank: int) -> tuple[float, float]:
    return (0.0, 1.0) if not roi else (float(roi[axis]), float(roi[rank + axis]))
