"""The grids of one calibration: what is fixed comes first, then the method's range.

For a tensor, in this order: a fixed scale, range or method of the job spec; the declared range of a model input;
integers brought to float, held exactly; a fixed output scale of the target; the coordinates of GridSample with their
fixed scale; a range fixed by treatment; the range of the method in use. MaxPool picks values, so its output has the
grid of its input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from search.calibration.ranges import Ranges
from search.errors import InvalidDataError
from search.graph.network import Network, SlotKind
from search.precision import Format
from search.quant.grid import Grid, ScaleRule, grid_from_scale, grid_from_threshold, make_grid
from search.quant.weights import quantize_weights, weight_grids
from search.targets.target import Target


@dataclass(frozen=True, eq=False)
class WeightGrid:
    """A quantized constant.

    Attributes:
        values: Integers of the constant's shape.
        scales: float32 ``[channels]``, or shape ``()`` per tensor.
        zero_points: Same shape as ``scales``, dtype of ``values``.
        axis: Channel axis, None per tensor.
    """

    values: npt.NDArray[np.generic]
    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.generic]
    axis: int | None


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """What the user fixed for one tensor; at most one of scale and range."""

    scale: float | None = None
    zero_point: int = 0
    range: tuple[float, float] | None = None
    method: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class GridSettings:
    """How grids are made beside the calibrated ranges.

    Attributes:
        method_8: Method at 8 bit.
        method_16: Method at 16 bit.
        fixed: Tensor index to what the user fixed.
        ranges: Tensor index to a range fixed by treatment.
        per_channel: Weight scales per output channel rather than per tensor.
        symmetric: Weight symmetry: ``auto`` or a choice.
    """

    method_8: str
    method_16: str
    fixed: Mapping[int, Fixed] = field(default_factory=dict)
    ranges: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    per_channel: bool = True
    symmetric: Literal["auto"] | bool = "auto"


class Grids:
    """Grids of every tensor and constant, made on demand and kept."""

    def __init__(
        self,
        network: Network,
        target: Target,
        ranges: Ranges,
        arrays: Callable[[str], npt.NDArray[np.generic]],
        settings: GridSettings,
    ) -> None:
        self._network = network
        self._target = target
        self._ranges = ranges
        self._arrays = arrays
        self._settings = settings
        self._rule = ScaleRule(target.activation_rule)
        self._activations: dict[tuple[int, Format], Grid] = {}
        self._weights: dict[tuple[int, Format], WeightGrid] = {}
        self._coordinates = {
            slot.tensor for group in network.groups for slot in group.inputs if slot.kind is SlotKind.GRID
        }

    def activation(self, tensor: int, fmt: Format) -> Grid:
        """Grid of tensor ``tensor`` in integer format ``fmt``.

        Raises:
            InvalidDataError: If the method gave no range and nothing else fixes one.
        """
        key = (tensor, fmt)
        if key not in self._activations:
            self._activations[key] = self._fixed_grid(tensor, fmt) or self._known_grid(tensor, fmt)
        return self._activations[key]

    def weight(self, constant: int, fmt: Format) -> WeightGrid:
        """Quantized values of constant ``constant`` in integer format ``fmt``."""
        key = (constant, fmt)
        if key not in self._weights:
            self._weights[key] = self._quantized(constant, fmt)
        return self._weights[key]

    def is_fixed(self, tensor: int, fmt: Format) -> bool:
        """Whether the grid does not come from the statistics of the data."""
        return self._fixed_grid(tensor, fmt) is not None or self._fixed_by_chip(tensor, fmt) is not None

    def method_of(self, tensor: int, fmt: Format) -> str:
        """Name of the method that gives the range of ``tensor`` at ``fmt``; ``fixed`` where none does."""
        if self.is_fixed(tensor, fmt):
            return "fixed"
        fixed = self._settings.fixed.get(tensor)
        return fixed.method if fixed and fixed.method else self._method(fmt)

    def _method(self, fmt: Format) -> str:
        return self._settings.method_8 if fmt is Format.INT8 else self._settings.method_16

    def _fixed_grid(self, tensor: int, fmt: Format) -> Grid | None:
        """What the user fixed."""
        fixed = self._settings.fixed.get(tensor)
        if fixed is None:
            return None
        if fixed.scale is not None:
            return grid_from_scale(fixed.scale, fixed.zero_point, fmt.bits, self._rule.signed)
        return make_grid(*fixed.range, bits=fmt.bits, rule=self._rule) if fixed.range is not None else None

    def _fixed_by_chip(self, tensor: int, fmt: Format) -> Grid | None:
        exact = self._network.tensors[tensor].integer_input
        if exact is not None and (grid := integer_grid(self._seen_integers(tensor, exact), fmt)) is not None:
            return grid
        writer = self._network.tensors[tensor].writer
        op_type = "" if writer is None else self._network.groups[writer].op_type
        fixed = self._target.fixed_output(op_type, fmt)
        if fixed is not None:
            return grid_from_scale(fixed[0], fixed[1], fmt.bits, self._rule.signed)
        rule = self._target.grid_rule
        if rule is not None and tensor in self._coordinates and fmt is rule.format:
            ends = self._ranges.extremes[tensor]
            absmax = float(np.max(np.abs(ends))) if np.isfinite(ends).all() else rule.minimum
            return grid_from_threshold(rule.threshold(absmax), fmt.bits)
        return None

    def _known_grid(self, tensor: int, fmt: Format) -> Grid:
        chip = self._fixed_by_chip(tensor, fmt)
        if chip is not None:
            return chip
        source = self._picked_from(tensor)
        if source is not None:
            return self.activation(source, fmt)
        if tensor in self._settings.ranges:
            return make_grid(*self._settings.ranges[tensor], bits=fmt.bits, rule=self._rule)
        fixed = self._settings.fixed.get(tensor)
        method = fixed.method if fixed and fixed.method else self._method(fmt)
        low, high = self._ranges.by_method[(method, fmt.bits)][tensor]
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InvalidDataError(
                f"Calibration method {method!r} has no range at {fmt.bits} bit for tensor "
                f"{self._network.tensors[tensor].name!r}; fix its range under calibration.overrides or use another method."
            )
        return make_grid(float(low), float(high), bits=fmt.bits, rule=self._rule)

    def _picked_from(self, tensor: int) -> int | None:
        """Input of the MaxPool that writes ``tensor``."""
        writer = self._network.tensors[tensor].writer
        group = None if writer is None else self._network.groups[writer]
        return group.inputs[0].tensor if group is not None and group.op_type == "MaxPool" else None

    def _seen_integers(self, tensor: int, declared: tuple[int, int]) -> tuple[int, int]:
        """Range of the integer type, or what was seen where the type is wider than 16 bit."""
        if declared[1] - declared[0] < 2**16:
            return declared
        low, high = self._ranges.extremes[tensor]
        return (int(low), int(high)) if np.isfinite(low) and np.isfinite(high) else declared

    def _quantized(self, constant: int, fmt: Format) -> WeightGrid:
        point = self._network.constants[constant]
        values = np.asarray(self._arrays(point.name), dtype=np.float32)
        axis = point.axis if self._settings.per_channel else None
        rule = ScaleRule(self._target.weight_rule)
        scales, zero_points = weight_grids(
            values, axis, bits=fmt.bits, rule=rule, symmetric=self._settings.symmetric, name=point.name
        )
        quantized = quantize_weights(values, scales, zero_points, axis, fmt.bits)
        return WeightGrid(quantized, scales, zero_points.astype(quantized.dtype), axis)


def integer_grid(ends: tuple[int, int], fmt: Format) -> Grid | None:
    """Grid with scale 1 that holds the integers ``ends`` exactly, None if ``fmt`` is too narrow.

    0..255 and -128..127 need 8 bit, -32768..32767 needs 16.
    """
    for signed in (True, False):
        grid = Grid(scale=1.0, zero_point=0, bits=fmt.bits, signed=signed)
        if grid.qmin <= ends[0] and ends[1] <= grid.qmax:
            return grid
    return None
