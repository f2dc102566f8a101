"""Softmax and the normalisations, native or recognised in pieces, in the integer form a chip uses (int16 inside)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from search.evaluation.lowering import attributes
from search.evaluation.lowering.site import Quantity, Site, without_zero_point
from search.quant.grid import DoubleArray
from search.simulator.making.norms import layer_norm_constants, root_fraction, softmax_tables
from search.simulator.program import EuclideanNorm, LayerNorm, Move, Softmax
from search.simulator.rescale import Int64Array

Place = tuple[onnx.NodeProto, int]
_RMS = frozenset({"RMSNormalization", "SimplifiedLayerNormalization"})
_NORMS = frozenset({"Softmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization"}) | _RMS
_NORMS |= {"LpNormalization", "ReduceL2"}


def lower_norm(site: Site) -> bool:
    """Append the operator; False where it has no integer form."""
    reads = [site.read(node, i) for node in site.nodes for i in range(len(node.input)) if site.slot(node, i)]
    if None in reads or len({read.operand for read in reads if read is not None}) != 1:
        return False
    read = reads[0]
    if read is None or site.group.op_type not in _NORMS:
        return False
    if site.group.op_type == "ReduceL2":
        return _length(site, read)
    return _softmax(site, read) if site.group.op_type == "Softmax" else _layer_norm(site, read)


def _softmax(site: Site, read: Quantity) -> bool:
    axis = _softmax_axis(site)
    if axis is None or read.grid is None or site.out_grid is None:
        return False
    made = softmax_tables(read.grid, site.out_grid, site.widths, node=site.name)
    site.warn(made.warnings)
    return site.done(
        Softmax(
            name=site.name,
            output=site.output,
            input=str(read.operand),
            axis=axis,
            entries=made.entries,
            segment_bits=made.segment_bits,
            rescale=made.rescale,
        )
    )


def _length(site: Site, read: Quantity) -> bool:
    node, sizes = site.node, site.sizes(site.node.input[0])
    if sizes is None or read.grid is None or site.out_grid is None:
        return False
    rank = len(sizes)
    axes = tuple(range(rank)) if site.is_absent(node, 1) else _constant_axes(site, node)
    if not axes or any(sizes[axis] <= 0 for axis in axes) or attributes.integer(node, "noop_with_empty_axes", 0):
        return False
    fraction = root_fraction(read.grid, math.prod(sizes[axis] for axis in axes))
    return site.done(
        EuclideanNorm(
            name=site.name,
            output=site.output,
            input=str(read.operand),
            axes=tuple(sorted(axis % rank for axis in axes)),
            keepdims=bool(attributes.integer(node, "keepdims", 1)),
            fraction=fraction,
            rescale=site.rescale(read.grid.scale * 2.0**-fraction / site.out_grid.scale),
        )
    )


def _softmax_axis(site: Site) -> int | None:
    if site.node.op_type == "Softmax":
        return attributes.integer(site.node, "axis", -1)
    total = next((node for node in site.nodes if node.op_type == "ReduceSum"), None)
    axes = None if total is None else _constant_axes(site, total)
    return axes[0] if axes is not None and len(axes) == 1 else None


def _constant_axes(site: Site, node: onnx.NodeProto) -> tuple[int, ...] | None:
    given = site.constant(node, 1)
    return None if given is None else tuple(int(axis) for axis in np.asarray(given, np.int64).reshape(-1))


@dataclass(frozen=True, eq=False)
class _Parts:
    """A normalisation as the step has it.

    Attributes:
        axes: From the front.
        epsilon: Added to the variance.
        gamma: Where its factor is.
        beta: Where its addend is.
        groups: Groups of channels that are normalised together (InstanceNormalization: as many as channels), whose
            factor and addend belong to channels; None where these lie along the normalised axes.
        centred: Whether the mean is taken off.
        factor: Of the result, beside gamma.
    """

    axes: tuple[int, ...]
    epsilon: float
    gamma: Place | None
    beta: Place | None
    groups: int | None = None
    centred: bool = True
    factor: float = 1.0


def _layer_norm(site: Site, read: Quantity) -> bool:
    source = next(node.input[i] for node in site.nodes for i in range(len(node.input)) if site.slot(node, i))
    sizes = site.sizes(source)
    parts = None if sizes is None else _parts(site, len(sizes))
    if sizes is None or parts is None or any(sizes[axis] <= 0 for axis in parts.axes):
        return False
    if parts.groups is not None:
        return _grouped_norm(site, read, parts, sizes, parts.groups)
    rank = len(sizes)
    order = (*(axis for axis in range(rank) if axis not in parts.axes), *parts.axes)
    shape = tuple(sizes[axis] for axis in parts.axes)
    gamma = _Constant(None, 1.0) if parts.gamma is None else _constant(site, parts.gamma, order, shape)
    if parts.factor != 1.0:
        gamma = _Constant(np.ones((), np.int64), parts.factor)
    beta = _Constant(None, 1.0) if parts.beta is None else _constant(site, parts.beta, order, shape)
    if gamma is None or beta is None or read.grid is None or site.out_grid is None:
        return False
    made = layer_norm_constants(
        read.grid,
        site.out_grid,
        site.widths,
        n=math.prod(shape),
        gamma=gamma.integers,
        gamma_scale=gamma.scale,
        beta=beta.real,
        epsilon=parts.epsilon,
        node=site.name,
    )
    site.warn(made.warnings)
    is_turned = order != tuple(range(rank))
    output = site.ledger.integer_name(f"{site.value}_turned", site.out_grid) if is_turned else site.output
    step = LayerNorm(
        name=site.name,
        output=output,
        input=_turned(site, read, order) if is_turned else str(read.operand),
        axis=rank - len(shape),
        gamma=made.gamma,
        beta=made.beta,
        epsilon=made.epsilon,
        fraction=made.fraction,
        result_bits=made.result_bits,
        rescale=made.rescale,
        centred=parts.centred,
    )
    if not is_turned:
        return site.done(step)
    site.ledger.steps.append(step)
    back = tuple(int(axis) for axis in np.argsort(order))
    return site.done(_transpose(site, output, site.output, back))


def _grouped_norm(site: Site, read: Quantity, parts: _Parts, sizes: tuple[int, ...], groups: int) -> bool:
    """Normalise ``[N, groups, C / groups, ...]`` over all but the first two axes; factor and addend per channel."""
    if read.grid is None or site.out_grid is None or sizes[1] % groups or any(size <= 0 for size in sizes[1:]):
        return False
    inside = (sizes[1] // groups, *sizes[2:])
    gamma, beta = (_per_channel(site, place, groups, inside) for place in (parts.gamma, parts.beta))
    if gamma is None or beta is None:
        return False
    made = layer_norm_constants(
        read.grid,
        site.out_grid,
        site.widths,
        n=math.prod(inside),
        gamma=gamma.integers,
        gamma_scale=gamma.scale,
        beta=beta.real,
        epsilon=parts.epsilon,
        node=site.name,
    )
    site.warn(made.warnings)
    apart = site.ledger.integer_name(f"{read.operand}_groups", read.grid)
    normalised = site.ledger.integer_name(f"{site.value}_groups", site.out_grid)
    step = LayerNorm(
        name=site.name,
        output=normalised,
        input=apart,
        axis=2,
        gamma=made.gamma,
        beta=made.beta,
        epsilon=made.epsilon,
        fraction=made.fraction,
        result_bits=made.result_bits,
        rescale=made.rescale,
    )
    return site.done(
        _reshape(site, str(read.operand), apart, (0, groups, *inside)),
        step,
        _reshape(site, normalised, site.output, (0, *sizes[1:])),
    )


def _reshape(site: Site, source: str, output: str, shape: tuple[int, ...]) -> Move:
    target = site.ledger.constant(f"{output}_shape", np.asarray(shape, np.int64))
    node = onnx.helper.make_node("Reshape", [source, target], [output], name=f"{site.name}/{output}")
    return Move(name=site.name, output=output, node=node)


def _per_channel(site: Site, place: Place | None, groups: int, inside: tuple[int, ...]) -> _Constant | None:
    """A constant of one number per channel, or per group, against ``[groups, C / groups, ...]``."""
    if place is None:
        return _Constant(None, 1.0)
    weight = site.weight(*place)
    if weight is None or weight.axis is not None:
        return None
    values = without_zero_point(weight)
    channels = inside[0] if values.size == groups * inside[0] else 1
    if values.size != groups * channels:
        return None
    return _Constant(values.reshape(groups, channels, *[1] * (len(inside) - 1)), float(weight.scales))


def _turned(site: Site, read: Quantity, order: tuple[int, ...]) -> str:
    """The input with the normalised axes at the end."""
    if read.grid is None:
        raise ValueError(f"{site.name!r} reads no value.")
    output = site.ledger.integer_name(f"{read.operand}_turned", read.grid)
    site.ledger.steps.append(_transpose(site, str(read.operand), output, order))
    return output


def _transpose(site: Site, source: str, output: str, order: tuple[int, ...]) -> Move:
    node = onnx.helper.make_node("Transpose", [source], [output], name=f"{site.name}/{output}", perm=list(order))
    return Move(name=site.name, output=output, node=node)


def _parts(site: Site, rank: int) -> _Parts | None:
    node = site.node
    if node.op_type == "LayerNormalization":
        first = attributes.integer(node, "axis", -1) % rank
        beta = None if site.is_absent(node, 2) else (node, 2)
        return _Parts(tuple(range(first, rank)), attributes.number(node, "epsilon", 1e-5), (node, 1), beta)
    if node.op_type in _RMS:
        first = attributes.integer(node, "axis", -1) % rank
        epsilon = attributes.number(node, "epsilon", 1e-5)
        return _Parts(tuple(range(first, rank)), epsilon, (node, 1), None, centred=False)
    if node.op_type == "LpNormalization":
        return _unit_length(site, rank)
    if node.op_type in ("InstanceNormalization", "GroupNormalization"):
        sizes = site.sizes(node.input[0])
        channels = sizes[1] if sizes is not None else 1
        groups = attributes.integer(node, "num_groups", channels)
        epsilon = attributes.number(node, "epsilon", 1e-5)
        return _Parts(tuple(range(2, rank)), epsilon, (node, 1), (node, 2), groups=groups)
    return _written_out(site, rank)


def _unit_length(site: Site, rank: int) -> _Parts | None:
    """``x / |x|`` is RMSNorm without epsilon, divided by the root of how many values there are; None beside p = 2."""
    axis = attributes.integer(site.node, "axis", -1) % rank
    sizes = site.sizes(site.node.input[0])
    if sizes is None or sizes[axis] <= 0 or attributes.integer(site.node, "p", 2) != 2:
        return None
    return _Parts((axis,), 0.0, None, None, centred=False, factor=1 / math.sqrt(sizes[axis]))


def _written_out(site: Site, rank: int) -> _Parts | None:
    writers = {name: one for one in site.nodes for name in one.output}
    mean = next((one for one in site.nodes if one.op_type == "ReduceMean"), None)
    axes = None if mean is None else _constant_axes(site, mean)
    if axes is None:
        return None
    epsilon, gamma, addend = None, None, None
    for one in site.nodes:
        index = next((i for i in range(len(one.input)) if site.constant(one, i) is not None), None)
        if index is None or one.op_type not in ("Add", "Mul"):
            continue
        before = writers.get(one.input[1 - index])
        if one.op_type == "Mul":
            gamma = (one, index)
        elif before is not None and before.op_type == "ReduceMean":
            epsilon = site.scalar(one, index)
        else:
            addend = (one, index)
    centred = site.group.op_type not in _RMS
    axes = tuple(sorted(axis % rank for axis in axes))
    return None if epsilon is None else _Parts(axes, epsilon, gamma, addend, centred=centred)


@dataclass(frozen=True, eq=False)
class _Constant:
    """Integers of the normalised shape (None: absent) and their step."""

    integers: Int64Array | None
    scale: float

    @property
    def real(self) -> DoubleArray | None:
        """The numbers they stand for."""
        return None if self.integers is None else self.integers.astype(np.float64) * self.scale


def _constant(site: Site, place: Place, order: tuple[int, ...], shape: tuple[int, ...]) -> _Constant | None:
    """Gamma or beta along the normalised axes; None where it is no constant or not of integers."""
    number = site.scalar(*place)
    if number is not None:
        sign = 1 if number >= 0 else -1
        return _Constant(np.full(shape, sign, np.int64), abs(number))
    weight = site.weight(*place)
    if weight is None or weight.axis is not None:
        return None
    return _Constant(_along_axes(without_zero_point(weight), order, shape), float(weight.scales))


def _along_axes(values: Int64Array, order: tuple[int, ...], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Values that broadcast against the input, seen along the normalised axes alone."""
    whole = values.reshape((1,) * (len(order) - values.ndim) + values.shape).transpose(order)
    return np.ascontiguousarray(np.broadcast_to(whole.reshape(whole.shape[-len(shape) :]), shape))
