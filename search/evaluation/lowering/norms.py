"""Softmax and LayerNormalization, native or recognised in pieces, in the integer form a chip uses (int16 inside)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from search.evaluation.lowering import attributes
from search.evaluation.lowering.site import Quantity, Site, without_zero_point
from search.quant.grid import DoubleArray
from search.simulator.making.norms import layer_norm_constants, softmax_tables
from search.simulator.program import LayerNorm, Move, Softmax
from search.simulator.rescale import Int64Array

Place = tuple[onnx.NodeProto, int]


def lower_norm(site: Site) -> bool:
    """Append the operator; False where it has no integer form."""
    reads = [site.read(node, i) for node in site.nodes for i in range(len(node.input)) if site.slot(node, i)]
    if None in reads or len({read.operand for read in reads if read is not None}) != 1:
        return False
    read = reads[0]
    if read is None or site.group.op_type not in ("Softmax", "LayerNormalization"):
        return False
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
    """A LayerNormalization: axes from the front, epsilon, and where its factor and addend are."""

    axes: tuple[int, ...]
    epsilon: float
    gamma: Place | None
    beta: Place | None


def _layer_norm(site: Site, read: Quantity) -> bool:
    source = next(node.input[i] for node in site.nodes for i in range(len(node.input)) if site.slot(node, i))
    sizes = site.sizes(source)
    parts = None if sizes is None else _parts(site, len(sizes))
    if sizes is None or parts is None or any(sizes[axis] <= 0 for axis in parts.axes):
        return False
    rank = len(sizes)
    order = (*(axis for axis in range(rank) if axis not in parts.axes), *parts.axes)
    shape = tuple(sizes[axis] for axis in parts.axes)
    gamma = _Constant(None, 1.0) if parts.gamma is None else _constant(site, parts.gamma, order, shape)
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
    )
    if not is_turned:
        return site.done(step)
    site.ledger.steps.append(step)
    back = tuple(int(axis) for axis in np.argsort(order))
    return site.done(_transpose(site, output, site.output, back))


def _turned(site: Site, read: Quantity, order: tuple[int, ...]) -> str:
    """The input with the normalised axes at the end."""
    if read.grid is None:
        raise ValueError(f"{site.name!r} reads no value.")
    output = site.ledger.integer_name(f"{read.operand}_turned", read.grid)
    site.ledger.steps.append(_transpose(site, str(read.operand), output, order))
    return output


def _transpose(site: Site, source: str, output: str, order: tuple[int, ...]) -> Move:
    node = onnx.helper.make_node("Transpose", [source], [output], name=site.name, perm=list(order))
    return Move(name=site.name, output=output, node=node)


def _parts(site: Site, rank: int) -> _Parts | None:
    node = site.node
    if node.op_type == "LayerNormalization":
        first = attributes.integer(node, "axis", -1) % rank
        beta = None if site.is_absent(node, 2) else (node, 2)
        return _Parts(tuple(range(first, rank)), attributes.number(node, "epsilon", 1e-5), (node, 1), beta)
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
    return None if epsilon is None else _Parts(tuple(sorted(axis % rank for axis in axes)), epsilon, gamma, addend)


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
