"""Resize to the nearest value or by linear interpolation, as indices or matrices per axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.evaluation.lowering import attributes
from search.evaluation.lowering.group_context import GroupContext, Quantity
from search.simulator.making.resizing import MATRIX_BITS, interpolation_indices, interpolation_matrices
from search.simulator.program import Interpolate, Pick


@dataclass(frozen=True)
class _Geometry:
    """Sizes and scales of every axis; axes that follow the number of samples are 1 to 1."""

    sizes_in: tuple[int, ...]
    sizes_out: tuple[int, ...]
    scales: tuple[float, ...] | None


def lower_resize(context: GroupContext) -> bool:
    """Append the operator; False where it has no integer form: cubic, antialiased, cropped, of unknown sizes."""
    node = context.node
    read, geometry = context.read(node, 0), _geometry(context)
    transformation = attributes.text(node, "coordinate_transformation_mode", "half_pixel")
    is_plain = not attributes.integer(node, "antialias", 0) and not attributes.integer(node, "exclude_outside", 0)
    if read is None or geometry is None or not is_plain or transformation == "tf_crop_and_resize":
        return False
    mode = attributes.text(node, "mode", "nearest")
    if mode == "linear":
        return _interpolate(context, read, geometry, transformation)
    return mode == "nearest" and _pick(context, read, geometry, transformation)


def _interpolate(context: GroupContext, read: Quantity, geometry: _Geometry, transformation: str) -> bool:
    matrices = interpolation_matrices(
        geometry.sizes_in, geometry.sizes_out, geometry.scales, transformation=transformation
    )
    if context.out_grid is None:
        return False
    rescale = context.rescale(read.scale / context.out_grid.scale * 2.0 ** (-MATRIX_BITS * len(matrices)))
    return context.done(
        Interpolate(
            name=context.name, output=context.output, input=str(read.operand), matrices=matrices, rescale=rescale
        )
    )


def _pick(context: GroupContext, read: Quantity, geometry: _Geometry, transformation: str) -> bool:
    indices = interpolation_indices(
        geometry.sizes_in,
        geometry.sizes_out,
        geometry.scales,
        transformation=transformation,
        nearest_mode=attributes.text(context.node, "nearest_mode", "round_prefer_floor"),
    )
    rescale = context.move_rescale(read)
    return context.done(
        Pick(name=context.name, output=context.output, input=str(read.operand), indices=indices, rescale=rescale)
    )


def _geometry(context: GroupContext) -> _Geometry | None:
    node = context.node
    before, after = context.sizes(node.input[0]), context.sizes(node.output[0])
    if before is None or after is None or len(before) != len(after):
        return None
    if any((a < 0) != (b < 0) for a, b in zip(before, after, strict=True)):
        return None
    sizes_in, sizes_out = (tuple(1 if size < 0 else size for size in sizes) for sizes in (before, after))
    if context.is_absent(node, 2):
        return _Geometry(sizes_in, sizes_out, None)
    stated = context.constant(node, 2)
    if stated is None:
        return None
    if not stated.size:
        return _Geometry(sizes_in, sizes_out, None)
    return _Geometry(sizes_in, sizes_out, _by_axis(context, np.asarray(stated, np.float64).reshape(-1), len(before)))


def _by_axis(context: GroupContext, scales: npt.NDArray[np.float64], rank: int) -> tuple[float, ...]:
    axes = attributes.integers(context.node, "axes", range(rank))
    found: Mapping[int, float] = {axis % rank: float(scale) for axis, scale in zip(axes, scales, strict=True)}
    return tuple(found.get(axis, 1.0) for axis in range(rank))
