"""Resize to the nearest value or by linear interpolation, as indices or matrices per axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.evaluation.lowering import attributes
from search.evaluation.lowering.site import Quantity, Site
from search.simulator.making.resizing import MATRIX_BITS, interpolation_indices, interpolation_matrices
from search.simulator.program import Interpolate, Pick


@dataclass(frozen=True)
class _Geometry:
    """Sizes and scales of every axis; axes that follow the number of samples are 1 to 1."""

    sizes_in: tuple[int, ...]
    sizes_out: tuple[int, ...]
    scales: tuple[float, ...] | None


def lower_resize(site: Site) -> bool:
    """Append the operator; False where it has no integer form: cubic, antialiased, cropped, of unknown sizes."""
    node = site.node
    read, geometry = site.read(node, 0), _geometry(site)
    transformation = attributes.text(node, "coordinate_transformation_mode", "half_pixel")
    is_plain = not attributes.integer(node, "antialias", 0) and not attributes.integer(node, "exclude_outside", 0)
    if read is None or geometry is None or not is_plain or transformation == "tf_crop_and_resize":
        return False
    mode = attributes.text(node, "mode", "nearest")
    if mode == "linear":
        return _interpolate(site, read, geometry, transformation)
    return mode == "nearest" and _pick(site, read, geometry, transformation)


def _interpolate(site: Site, read: Quantity, geometry: _Geometry, transformation: str) -> bool:
    matrices = interpolation_matrices(
        geometry.sizes_in, geometry.sizes_out, geometry.scales, transformation=transformation
    )
    if site.out_grid is None:
        return False
    rescale = site.rescale(read.scale / site.out_grid.scale * 2.0 ** (-MATRIX_BITS * len(matrices)))
    return site.done(
        Interpolate(name=site.name, output=site.output, input=str(read.operand), matrices=matrices, rescale=rescale)
    )


def _pick(site: Site, read: Quantity, geometry: _Geometry, transformation: str) -> bool:
    indices = interpolation_indices(
        geometry.sizes_in,
        geometry.sizes_out,
        geometry.scales,
        transformation=transformation,
        nearest_mode=attributes.text(site.node, "nearest_mode", "round_prefer_floor"),
    )
    rescale = site.move_rescale(read)
    return site.done(
        Pick(name=site.name, output=site.output, input=str(read.operand), indices=indices, rescale=rescale)
    )


def _geometry(site: Site) -> _Geometry | None:
    node = site.node
    before, after = site.sizes(node.input[0]), site.sizes(node.output[0])
    if before is None or after is None or len(before) != len(after):
        return None
    if any((a < 0) != (b < 0) for a, b in zip(before, after, strict=True)):
        return None
    sizes_in, sizes_out = (tuple(1 if size < 0 else size for size in sizes) for sizes in (before, after))
    if site.is_absent(node, 2):
        return _Geometry(sizes_in, sizes_out, None)
    stated = site.constant(node, 2)
    if stated is None:
        return None
    if not stated.size:
        return _Geometry(sizes_in, sizes_out, None)
    return _Geometry(sizes_in, sizes_out, _by_axis(site, np.asarray(stated, np.float64).reshape(-1), len(before)))


def _by_axis(site: Site, scales: npt.NDArray[np.float64], rank: int) -> tuple[float, ...]:
    axes = attributes.integers(site.node, "axes", range(rank))
    found: Mapping[int, float] = {axis % rank: float(scale) for axis, scale in zip(axes, scales, strict=True)}
    return tuple(found.get(axis, 1.0) for axis in range(rank))
