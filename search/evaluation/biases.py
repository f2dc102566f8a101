"""The bias of an integer gemm: int32 with the scale of the accumulator, ``s_x * s_w``.

One that would overflow int32, or for which int32 has no single scale per value, stays float.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from search.calibration.grids import WeightGrid
from search.graph.network import Constant, Group, Network, OpClass, SlotKind
from search.precision import Format
from search.quant.grid import Grid, quantize_bias
from search.targets.placement import Placement

_FIRST_RECURRENT_BIAS = 3
"""Inputs of LSTM and GRU from here on: bias, initial states, peepholes; they stay float, or binary16 at fp16."""


@dataclass(frozen=True)
class Bias:
    """A constant added to the accumulator of gemm ``group``: input ``index`` of ``node``.

    Attributes:
        group: Index of the group.
        node: Node that adds it.
        index: Which input it is.
        name: Initializer.
        axis: Axis of the output channels in its shape; None where it has none.
    """

    group: int
    node: str
    index: int
    name: str
    axis: int | None


class GridSource(Protocol):
    """Where scales come from: one calibration result with its overrides."""

    def activation(self, tensor: int, fmt: Format) -> Grid:
        """Grid of tensor ``tensor`` in integer format ``fmt``."""
        ...

    def weight(self, constant: int, fmt: Format) -> WeightGrid:
        """Quantized values of constant ``constant`` in integer format ``fmt``."""
        ...


def find_biases(
    model: onnx.ModelProto,
    network: Network,
    initializers: Mapping[str, onnx.TensorProto],
    group_of: Mapping[str, int],
) -> dict[tuple[str, int], Bias]:
    """Constants a gemm adds to its accumulator: input 2 of the gemm, or the constant of an Add it took in."""
    points = {(constant.node, constant.index) for constant in network.constants}
    found = {}
    for node in model.graph.node:
        group = group_of.get(node.name)
        if group is None or not network.groups[group].is_gemm:
            continue
        for index, name in enumerate(node.input):
            adds = name in initializers and _adds(network.groups[group], node, index)
            if adds and (node.name, index) not in points and initializers[name].data_type == TensorProto.FLOAT:
                axis = _channel_axis(network, group, len(initializers[name].dims))
                found[(node.name, index)] = Bias(group, node.name, index, name, axis)
    return found


def _adds(group: Group, node: onnx.NodeProto, index: int) -> bool:
    if group.op_class is OpClass.RECURRENT:
        return index >= _FIRST_RECURRENT_BIAS
    return index == 2 if node.name == group.name else node.op_type == "Add"


def _channel_axis(network: Network, group: int, rank: int) -> int | None:
    """Axis of the output channels in a bias of ``rank`` axes that is broadcast against the gemm's output."""
    if network.groups[group].op_type not in ("Conv", "ConvTranspose"):
        return rank - 1 if rank else None
    weight = _weight_of(network, group)
    if rank == 1 or weight is None:
        return 0 if rank == 1 else None
    axis = 1 - (len(weight.shape) - rank)  # the output has as many axes as the weight, channels on axis 1
    return axis if axis >= 0 else None


def _weight_of(network: Network, group: int) -> Constant | None:
    constants = network.constants_of[group]
    return network.constants[constants[0]] if constants else None


def accumulator_scales(
    network: Network, placement: Placement, grids: GridSource, group: int
) -> npt.NDArray[np.float32] | None:
    """Return ``s_x * s_w`` per output channel ``[C]``, or one number ``[]``.

    None where the gemm does not sum integers, or its weight scales do not run along the axis a bias is added on.
    """
    formats, slots = placement.read[group], network.groups[group].inputs
    by_kind = {slot.kind: (slot.tensor, fmt) for slot, fmt in zip(slots, formats, strict=True)}
    if network.groups[group].op_class is not OpClass.GEMM or SlotKind.ACTIVATION not in by_kind:
        return None
    sides = [by_kind[kind] for kind in (SlotKind.ACTIVATION, SlotKind.SECOND) if kind in by_kind]
    if not all(fmt.is_integer for _, fmt in sides):
        return None
    scale = np.float32(1)
    for tensor, fmt in sides:
        scale = scale * np.float32(grids.activation(tensor, fmt).scale)
    weights = network.constants_of[group]
    if not weights:
        return np.asarray(scale, np.float32) if SlotKind.SECOND in by_kind else None
    if not placement.constants[weights[0]].is_integer:
        return None
    grid = grids.weight(weights[0], placement.constants[weights[0]])
    if grid.axis is not None and network.constants[weights[0]].index == 0:
        return None  # a constant left operand has a scale per row, but the bias is added per column
    return np.asarray(scale * grid.scales, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class BiasForm:
    """How a bias is stored: as integers, or as the float it was.

    Attributes:
        grid: The int32 bias, None where it stays float.
        overflowed: Whether it stays float because a value does not fit into int32.
    """

    grid: WeightGrid | None
    overflowed: bool = False


def quantized_bias(bias: Bias, values: npt.NDArray[np.float32], scales: npt.NDArray[np.float32]) -> BiasForm:
    """Return the bias on the accumulator's grid.

    It stays float if it overflows, or if one number is added to channels of different scale, which int32 cannot hold
    exactly.

    Args:
        bias: Where it is added.
        values: Float bias.
        scales: Of the accumulator, ``[C]`` or ``[]``.
    """
    axis = bias.axis if scales.ndim else None
    if scales.ndim:
        n_channels = 0 if axis is None else values.shape[axis]
        if n_channels == 0 or n_channels % scales.size:
            return BiasForm(None)
        scales = np.tile(scales, n_channels // scales.size)  # a grouped ConvTranspose repeats its weight channels
    shape = [-1 if i == axis else 1 for i in range(values.ndim)] if scales.ndim else []
    quantized, overflowed = quantize_bias(values, 1.0, scales.reshape(shape))
    if overflowed:
        return BiasForm(None, overflowed=True)
    return BiasForm(WeightGrid(quantized, scales, np.zeros_like(scales, np.int32), axis))
