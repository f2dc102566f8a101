"""Softmax and the normalisations, native or recognised in pieces, in the integer form a chip uses (int16 inside)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from search.evaluation.lowering import attributes
from search.evaluation.lowering.group_context import GroupContext, Quantity, without_zero_point
from search.quant.grid import DoubleArray
from search.simulator.making.norms import layer_norm_constants, root_fraction, softmax_tables
from search.simulator.program import EuclideanNorm, LayerNorm, Move, Softmax
from search.simulator.rescale import Int64Array

Place = tuple[onnx.NodeProto, int]
_RMS = frozenset({"RMSNormalization", "SimplifiedLayerNormalization"})
_NORMS = frozenset({"Softmax", "LayerNormalization", "InstanceNormalization", "GroupNormalization"}) | _RMS
_NORMS |= {"LpNormalization", "ReduceL2"}


def lower_norm(context: GroupContext) -> bool:
    """Append the operator; False where it has no integer form."""
    reads = [context.read(node, i) for node in context.nodes for i in range(len(node.input)) if context.slot(node, i)]
    if None in reads or len({read.operand for read in reads if read is not None}) != 1:
        return False
    read = reads[0]
    if read is None or context.group.op_type not in _NORMS:
        return False
    if context.group.op_type == "ReduceL2":
        return _length(context, read)
    return _softmax(context, read) if context.group.op_type == "Softmax" else _layer_norm(context, read)


def _softmax(context: GroupContext, read: Quantity) -> bool:
    axis = _softmax_axis(context)
    if axis is None or read.grid is None or context.out_grid is None:
        return False
    made = softmax_tables(read.grid, context.out_grid, context.widths, node=context.name)
    context.warn(made.warnings)
    return context.done(
        Softmax(
            name=context.name,
            output=context.output,
            input=str(read.operand),
            axis=axis,
            entries=made.entries,
            segment_bits=made.segment_bits,
            rescale=made.rescale,
        )
    )


def _length(context: GroupContext, read: Quantity) -> bool:
    node, sizes = context.node, context.sizes(context.node.input[0])
    if sizes is None or read.grid is None or context.out_grid is None:
        return False
    rank = len(sizes)
    axes = tuple(range(rank)) if context.is_absent(node, 1) else _constant_axes(context, node)
    if not axes or any(sizes[axis] <= 0 for axis in axes) or attributes.integer(node, "noop_with_empty_axes", 0):
        return False
    fraction = root_fraction(read.grid, math.prod(sizes[axis] for axis in axes))
    return context.done(
        EuclideanNorm(
            name=context.name,
            output=context.output,
            input=str(read.operand),
            axes=tuple(sorted(axis % rank for axis in axes)),
            keepdims=bool(attributes.integer(node, "keepdims", 1)),
            fraction=fraction,
            rescale=context.rescale(read.grid.scale * 2.0**-fraction / context.out_grid.scale),
        )
    )


def _softmax_axis(context: GroupContext) -> int | None:
    if context.node.op_type == "Softmax":
        return attributes.integer(context.node, "axis", -1)
    total = next((node for node in context.nodes if node.op_type == "ReduceSum"), None)
    axes = None if total is None else _constant_axes(context, total)
    return axes[0] if axes is not None and len(axes) == 1 else None


def _constant_axes(context: GroupContext, node: onnx.NodeProto) -> tuple[int, ...] | None:
    given = context.constant(node, 1)
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


def _layer_norm(context: GroupContext, read: Quantity) -> bool:
    source = next(node.input[i] for node in context.nodes for i in range(len(node.input)) if context.slot(node, i))
    sizes = context.sizes(source)
    parts = None if sizes is None else _parts(context, len(sizes))
    if sizes is None or parts is None or any(sizes[axis] <= 0 for axis in parts.axes):
        return False
    if parts.groups is not None:
        return _grouped_norm(context, read, parts, sizes, parts.groups)
    rank = len(sizes)
    order = (*(axis for axis in range(rank) if axis not in parts.axes), *parts.axes)
    shape = tuple(sizes[axis] for axis in parts.axes)
    gamma = _Constant(None, 1.0) if parts.gamma is None else _constant(context, parts.gamma, order, shape)
    if parts.factor != 1.0:
        gamma = _Constant(np.ones((), np.int64), parts.factor)
    beta = _Constant(None, 1.0) if parts.beta is None else _constant(context, parts.beta, order, shape)
    if gamma is None or beta is None or read.grid is None or context.out_grid is None:
        return False
    made = layer_norm_constants(
        read.grid,
        context.out_grid,
        context.widths,
        n=math.prod(shape),
        gamma=gamma.integers,
        gamma_scale=gamma.scale,
        beta=beta.real,
        epsilon=parts.epsilon,
        node=context.name,
    )
    context.warn(made.warnings)
    is_turned = order != tuple(range(rank))
    output = context.builder.integer_name(f"{context.value}_turned", context.out_grid) if is_turned else context.output
    step = LayerNorm(
        name=context.name,
        output=output,
        input=_turned(context, read, order) if is_turned else str(read.operand),
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
        return context.done(step)
    context.builder.steps.append(step)
    back = tuple(int(axis) for axis in np.argsort(order))
    return context.done(_transpose(context, output, context.output, back))


def _grouped_norm(context: GroupContext, read: Quantity, parts: _Parts, sizes: tuple[int, ...], groups: int) -> bool:
    """Normalise ``[N, groups, C / groups, ...]`` over all but the first two axes; factor and addend per channel."""
    if read.grid is None or context.out_grid is None or sizes[1] % groups or any(size <= 0 for size in sizes[1:]):
        return False
    inside = (sizes[1] // groups, *sizes[2:])
    gamma, beta = (_per_channel(context, place, groups, inside) for place in (parts.gamma, parts.beta))
    if gamma is None or beta is None:
        return False
    made = layer_norm_constants(
        read.grid,
        context.out_grid,
        context.widths,
        n=math.prod(inside),
        gamma=gamma.integers,
        gamma_scale=gamma.scale,
        beta=beta.real,
        epsilon=parts.epsilon,
        node=context.name,
    )
    context.warn(made.warnings)
    apart = context.builder.integer_name(f"{read.operand}_groups", read.grid)
    normalised = context.builder.integer_name(f"{context.value}_groups", context.out_grid)
    step = LayerNorm(
        name=context.name,
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
    return context.done(
        _reshape(context, str(read.operand), apart, (0, groups, *inside)),
        step,
        _reshape(context, normalised, context.output, (0, *sizes[1:])),
    )


def _reshape(context: GroupContext, source: str, output: str, shape: tuple[int, ...]) -> Move:
    target = context.builder.constant(f"{output}_shape", np.asarray(shape, np.int64))
    node = onnx.helper.make_node("Reshape", [source, target], [output], name=f"{context.name}/{output}")
    return Move(name=context.name, output=output, node=node)


def _per_channel(context: GroupContext, place: Place | None, groups: int, inside: tuple[int, ...]) -> _Constant | None:
    """A constant of one number per channel, or per group, against ``[groups, C / groups, ...]``."""
    if place is None:
        return _Constant(None, 1.0)
    weight = context.weight(*place)
    if weight is None or weight.axis is not None:
        return None
    values = without_zero_point(weight)
    channels = inside[0] if values.size == groups * inside[0] else 1
    if values.size != groups * channels:
        return None
    return _Constant(values.reshape(groups, channels, *[1] * (len(inside) - 1)), float(weight.scales))


def _turned(context: GroupContext, read: Quantity, order: tuple[int, ...]) -> str:
    """The input with the normalised axes at the end."""
    if read.grid is None:
        raise ValueError(f"{context.name!r} reads no value.")
    output = context.builder.integer_name(f"{read.operand}_turned", read.grid)
    context.builder.steps.append(_transpose(context, str(read.operand), output, order))
    return output


def _transpose(context: GroupContext, source: str, output: str, order: tuple[int, ...]) -> Move:
    node = onnx.helper.make_node("Transpose", [source], [output], name=f"{context.name}/{output}", perm=list(order))
    return Move(name=context.name, output=output, node=node)


def _parts(context: GroupContext, rank: int) -> _Parts | None:
    node = context.node
    if node.op_type == "LayerNormalization":
        first = attributes.integer(node, "axis", -1) % rank
        beta = None if context.is_absent(node, 2) else (node, 2)
        return _Parts(tuple(range(first, rank)), attributes.number(node, "epsilon", 1e-5), (node, 1), beta)
    if node.op_type in _RMS:
        first = attributes.integer(node, "axis", -1) % rank
        epsilon = attributes.number(node, "epsilon", 1e-5)
        return _Parts(tuple(range(first, rank)), epsilon, (node, 1), None, centred=False)
    if node.op_type == "LpNormalization":
        return _unit_length(context, rank)
    if node.op_type in ("InstanceNormalization", "GroupNormalization"):
        sizes = context.sizes(node.input[0])
        channels = sizes[1] if sizes is not None else 1
        groups = attributes.integer(node, "num_groups", channels)
        epsilon = attributes.number(node, "epsilon", 1e-5)
        return _Parts(tuple(range(2, rank)), epsilon, (node, 1), (node, 2), groups=groups)
    return _written_out(context, rank)


def _unit_length(context: GroupContext, rank: int) -> _Parts | None:
    """``x / |x|`` is RMSNorm without epsilon, divided by the root of how many values there are; None beside p = 2."""
    axis = attributes.integer(context.node, "axis", -1) % rank
    sizes = context.sizes(context.node.input[0])
    if sizes is None or sizes[axis] <= 0 or attributes.integer(context.node, "p", 2) != 2:
        return None
    return _Parts((axis,), 0.0, None, None, centred=False, factor=1 / math.sqrt(sizes[axis]))


def _written_out(context: GroupContext, rank: int) -> _Parts | None:
    writers = {name: one for one in context.nodes for name in one.output}
    mean = next((one for one in context.nodes if one.op_type == "ReduceMean"), None)
    axes = None if mean is None else _constant_axes(context, mean)
    if axes is None:
        return None
    epsilon, gamma, addend = None, None, None
    for one in context.nodes:
        index = next((i for i in range(len(one.input)) if context.constant(one, i) is not None), None)
        if index is None or one.op_type not in ("Add", "Mul"):
            continue
        before = writers.get(one.input[1 - index])
        if one.op_type == "Mul":
            gamma = (one, index)
        elif before is not None and before.op_type == "ReduceMean":
            epsilon = context.scalar(one, index)
        else:
            addend = (one, index)
    centred = context.group.op_type not in _RMS
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


def _constant(context: GroupContext, place: Place, order: tuple[int, ...], shape: tuple[int, ...]) -> _Constant | None:
    """Gamma or beta along the normalised axes; None where it is no constant or not of integers."""
    number = context.scalar(*place)
    if number is not None:
        sign = 1 if number >= 0 else -1
        return _Constant(np.full(shape, sign, np.int64), abs(number))
    weight = context.weight(*place)
    if weight is None or weight.axis is not None:
        return None
    return _Constant(_along_axes(without_zero_point(weight), order, shape), float(weight.scales))


def _along_axes(values: Int64Array, order: tuple[int, ...], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Values that broadcast against the input, seen along the normalised axes alone."""
    whole = values.reshape((1,) * (len(order) - values.ndim) + values.shape).transpose(order)
    return np.ascontiguousarray(np.broadcast_to(whole.reshape(whole.shape[-len(shape) :]), shape))
