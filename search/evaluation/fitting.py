"""Weights made coarser where their bias would not fit into int32: grids of a graph the runtime runs in integers.

The runtime adds the bias as int32 in units of ``s_x * s_w``. Beside a channel whose weights are tiny, or all zero, an
ordinary bias is larger than that; the runtime then saturates it, however the file stores it. With

    s_w' = max(s_w, |b| / (s_x * (2**31 - 1)))

it fits, and a product ``x * w`` loses at most ``|b| / 2**24`` for 8-bit ``x``. See docs/numerics.md#qdq.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from search.calibration.grids import WeightGrid
from search.evaluation.biases import Bias, GridSource, accumulator_scales
from search.evaluation.template import Template
from search.precision import Format
from search.quant.grid import Grid
from search.quant.weights import quantize_weights
from search.targets.placement import Placement

Double: TypeAlias = npt.NDArray[np.float64]
_ROOM = 1 - 2.0**-20  # products of scales are rounded to float32
_SMALLEST = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, eq=False)
class FittedGrids:
    """The scales of ``grids``, with coarser weights where a bias of ``placement`` needs them.

    Only weights without zero points that belong to one group are changed.
    """

    template: Template
    placement: Placement
    grids: GridSource
    _fitted: dict[int, WeightGrid] = field(default_factory=dict, repr=False)

    def activation(self, tensor: int, fmt: Format) -> Grid:
        """Grid of a tensor, as it was."""
        return self.grids.activation(tensor, fmt)

    def weight(self, constant: int, fmt: Format) -> WeightGrid:
        """Quantized values of a constant, coarser in the channels that need it."""
        if constant not in self._fitted:
            self._fitted[constant] = self._fit(constant, self.grids.weight(constant, fmt))
        return self._fitted[constant]

    def _fit(self, constant: int, grid: WeightGrid) -> WeightGrid:
        group = self.template.network.constants[constant].group
        found = [bias for bias in self.template.biases.values() if bias.group == group]
        sums = accumulator_scales(self.template.network, self.placement, self.grids, group) if found else None
        if sums is None or np.any(grid.zero_points):
            return grid
        needed = np.max([self._needed(bias, grid.scales) for bias in found], axis=0)
        input_scale = self._input_scale(group)
        scales = np.maximum(grid.scales.astype(np.float64), needed / input_scale)
        scales = np.where(grid.scales * np.float32(input_scale) < _SMALLEST, np.maximum(scales, _SMALLEST), scales)
        if np.array_equal(scales.astype(np.float32), grid.scales):
            return grid
        return self._coarser(constant, grid, np.asarray(scales, np.float32))

    def _input_scale(self, group: int) -> float:
        slots, formats = self.template.network.groups[group].inputs, self.placement.read[group]
        return float(self.grids.activation(slots[0].tensor, formats[0]).scale)

    def _needed(self, bias: Bias, scales: npt.NDArray[np.float32]) -> Double:
        """Smallest accumulator scale of each weight channel at which ``bias`` fits, shape of ``scales``."""
        values = np.abs(np.asarray(self.template.array(bias.name), np.float64))
        largest = np.asarray(values.max(initial=0.0))
        if scales.ndim and bias.axis is not None and values.shape[bias.axis] % scales.size == 0:
            others = tuple(i for i in range(values.ndim) if i != bias.axis)
            largest = values.max(axis=others, initial=0.0).reshape(-1, scales.size).max(axis=0)
        return np.broadcast_to(largest / (_ROOM * np.iinfo(np.int32).max), scales.shape)

    def _coarser(self, constant: int, grid: WeightGrid, scales: npt.NDArray[np.float32]) -> WeightGrid:
        values = np.asarray(self.template.array(self.template.network.constants[constant].name), np.float32)
        bits = grid.values.dtype.itemsize * 8
        quantized = quantize_weights(values, scales, np.asarray(grid.zero_points), grid.axis, bits)
        return WeightGrid(quantized, scales, grid.zero_points, grid.axis)
