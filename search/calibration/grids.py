"""The grids of one calibration: what is fixed comes first, then the method's range.

For a tensor, in this order:

1. the scale a file of tensor overrides states;
2. what the job spec fixes for it: scale, range, method, or (a model input with ``quantize: false``) whole numbers;
3. integers brought to float, held exactly where the format holds them;
4. a fixed output scale of the target;
5. the coordinates of GridSample with their fixed scale;
6. for the output of MaxPool, which picks values, the grid of its input;
7. a range fixed by treatment;
8. the range of the method in use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.calibration.masks import above
from search.calibration.ranges import Ranges
from search.errors import InvalidDataError, UsageError
from search.graph.network import ConstantKind, Network, SlotKind
from search.precision import Format
from search.quant.grid import Grid, ScaleRule, grid_from_scale, grid_from_threshold, integer_dtype, make_grid
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

    values: Array
    scales: npt.NDArray[np.float32]
    zero_points: Array
    axis: int | None


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """What the user fixed for one tensor; one of scale, range, method and exact.

    Attributes:
        scale: Step of whatever width is chosen.
        zero_point: Beside ``scale``.
        range: Lowest and highest value to cover.
        method: Calibration method.
        exact: Held as the whole numbers it consists of, never rounded.
    """

    scale: float | None = None
    zero_point: int = 0
    range: tuple[float, float] | None = None
    method: str | None = None
    exact: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class GridSettings:
    """How grids are made beside the calibrated ranges.

    Attributes:
        method_8: Method at 8 bit.
        method_16: Method at 16 bit.
        method_other: Method at 8 bit of tensors that no gemm writes; None if it is ``method_8``.
        fixed: Tensor index to what the user fixed.
        stated: ``(tensor, bits)`` to scale and zero point that tensor overrides state; they come before all else.
        stated_weights: ``(constant, bits)`` to scales and zero points, one per channel or one altogether.
        ranges: Tensor index to a range fixed by treatment.
        per_channel: Weight scales per output channel rather than per tensor.
        symmetric: Weight symmetry: ``auto`` or a choice.
        reduced: Whether 8-bit weights of gemms have seven bits; for processors that saturate sums of two products.
    """

    method_8: str
    method_16: str
    method_other: str | None = None
    fixed: Mapping[int, Fixed] = field(default_factory=dict)
    stated: Mapping[tuple[int, int], tuple[float, int]] = field(default_factory=dict)
    stated_weights: Mapping[tuple[int, int], tuple[tuple[float, ...], tuple[int, ...]]] = field(default_factory=dict)
    ranges: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    per_channel: bool = True
    symmetric: Literal["auto"] | bool = "auto"
    reduced: bool = False


class Grids:
    """Grids of every tensor and constant, made on demand and kept.

    Raises:
        UsageError: If weights are asked to have zero points the target does not know.
    """

    def __init__(
        self,
        network: Network,
        target: Target,
        ranges: Ranges,
        arrays: Callable[[str], Array],
        settings: GridSettings,
    ) -> None:
        check_symmetry(target, settings.symmetric)
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
            InvalidDataError: If the method gave no range and nothing else fixes one, or whole numbers that must be kept
                do not fit.
        """
        key = (tensor, fmt)
        if key not in self._activations:
            known = self._known_grid(tensor, fmt)
            self._activations[key] = known or self._measured_grid(tensor, fmt, self.method_of(tensor, fmt))
        return self._activations[key]

    def weight(self, constant: int, fmt: Format) -> WeightGrid:
        """Quantized values of constant ``constant`` in integer format ``fmt``."""
        key = (constant, fmt)
        if key not in self._weights:
            self._weights[key] = self._quantized(constant, fmt)
        return self._weights[key]

    def is_fixed(self, tensor: int, fmt: Format) -> bool:
        """Whether the grid does not come from the statistics of the data."""
        return self.method_of(tensor, fmt) == "fixed"

    def method_of(self, tensor: int, fmt: Format) -> str:
        """Name of the method that gives the range of ``tensor`` at ``fmt``; ``fixed`` where none does."""
        method = self._user_method(tensor, fmt)
        if method is not None:
            return method
        if self._user_grid(tensor, fmt) is not None or self._chip_grid(tensor, fmt) is not None:
            return "fixed"
        source = self._picked_from(tensor)
        if source is not None:
            return self.method_of(source, fmt)
        if tensor in self._settings.ranges:
            return "fixed"
        if fmt is not Format.INT8:
            return self._settings.method_16
        writer = self._network.tensors[tensor].writer
        is_written_by_gemm = writer is not None and self._network.groups[writer].is_gemm
        return self._settings.method_8 if is_written_by_gemm else self._settings.method_other or self._settings.method_8

    def _known_grid(self, tensor: int, fmt: Format) -> Grid | None:
        """The grid where no method of its own decides."""
        if self._user_method(tensor, fmt) is not None:
            return None
        grid = self._user_grid(tensor, fmt) or self._chip_grid(tensor, fmt)
        if grid is not None:
            return grid
        source = self._picked_from(tensor)
        if source is not None:
            return self.activation(source, fmt)
        if tensor in self._settings.ranges:
            return make_grid(*self._settings.ranges[tensor], bits=fmt.bits, rule=self._rule)
        return None

    def _user_method(self, tensor: int, fmt: Format) -> str | None:
        fixed = self._settings.fixed.get(tensor)
        return None if fixed is None or (tensor, fmt.bits) in self._settings.stated else fixed.method

    def _user_grid(self, tensor: int, fmt: Format) -> Grid | None:
        stated = self._settings.stated.get((tensor, fmt.bits))
        if stated is not None:
            return grid_from_scale(stated[0], stated[1], fmt.bits, self._rule.signed)
        fixed = self._settings.fixed.get(tensor)
        if fixed is None:
            return None
        if fixed.exact:
            return self._exact_grid(tensor, fmt)
        if fixed.scale is not None:
            return grid_from_scale(fixed.scale, fixed.zero_point, fmt.bits, self._rule.signed)
        return make_grid(*fixed.range, bits=fmt.bits, rule=self._rule) if fixed.range is not None else None

    def _exact_grid(self, tensor: int, fmt: Format) -> Grid:
        low, high = exact_ends(self._network, self._ranges, tensor)
        grid = integer_grid((low, high), fmt)
        if grid is None:
            raise InvalidDataError(
                f"Input {self._network.tensors[tensor].op_name!r} is not to be quantized, but it holds {low} to "
                f"{high}, more than {fmt.bits} bit have. Pin what reads it to 16 bit, or let it be quantized."
            )
        return grid

    def _chip_grid(self, tensor: int, fmt: Format) -> Grid | None:
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

    def _measured_grid(self, tensor: int, fmt: Format, method: str) -> Grid:
        if self._is_unseen(tensor):
            absmax = self._absmax_before(tensor)
            return make_grid(-absmax, absmax, bits=fmt.bits, rule=self._rule)
        low, high = self._ranges.by_method[(method, fmt.bits)][tensor]
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InvalidDataError(
                f"Calibration method {method!r} has no range at {fmt.bits} bit for tensor "
                f"{self._network.tensors[tensor].name!r}; fix its range under calibration.overrides or use another "
                "method."
            )
        return make_grid(float(low), float(high), bits=fmt.bits, rule=self._rule)

    def _is_unseen(self, tensor: int) -> bool:
        """Whether calibration held no value of it at all: the empty results of NonZero, NMS and the like."""
        return not np.isfinite(self._ranges.extremes[tensor]).all() and not self._ranges.nonfinite[tensor]

    def _absmax_before(self, tensor: int) -> float:
        """Largest absolute value of what its writer reads, the nearest that was seen; 1 where nothing was."""
        seen, todo = {tensor}, [tensor]
        while todo:
            writer = self._network.tensors[todo.pop(0)].writer
            read = () if writer is None else tuple(slot.tensor for slot in self._network.groups[writer].inputs)
            known = [float(np.abs(self._ranges.extremes[t]).max()) for t in read if not self._is_unseen(t)]
            largest = max((value for value in known if np.isfinite(value)), default=0.0)
            if largest:
                return largest
            todo += [t for t in read if t not in seen]
            seen.update(read)
        return 1.0

    def _picked_from(self, tensor: int) -> int | None:
        """Input of the MaxPool that writes ``tensor``."""
        writer = self._network.tensors[tensor].writer
        group = None if writer is None else self._network.groups[writer]
        return group.inputs[0].tensor if group is not None and group.op_type == "MaxPool" else None

    def _seen_integers(self, tensor: int, declared: tuple[int, int]) -> tuple[int, int]:
        """Range of the integer type, or what was seen where int16 does not hold the type."""
        if integer_grid(declared, Format.INT16) is not None:
            return declared
        low, high = self._ranges.extremes[tensor]
        return (int(low), int(high)) if np.isfinite(low) and np.isfinite(high) else declared

    def _quantized(self, constant: int, fmt: Format) -> WeightGrid:
        point = self._network.constants[constant]
        values = np.asarray(self._arrays(point.name), dtype=np.float32)
        if constant in self._ranges.masks:
            values = above(values, self._ranges.masks[constant])
        stated = self._settings.stated_weights.get((constant, fmt.bits))
        if stated is not None:
            return _stated_weights(values, stated, point.axis, fmt)
        axis = point.axis if self._settings.per_channel else None
        rule = ScaleRule(self._target.weight_rule)
        scales, zero_points = weight_grids(
            values,
            axis,
            bits=fmt.bits,
            rule=rule,
            symmetric=self._settings.symmetric,
            reduced=self._settings.reduced and fmt is Format.INT8 and point.kind is ConstantKind.WEIGHT,
            name=point.name,
        )
        quantized = quantize_weights(values, scales, zero_points, axis, fmt.bits)
        return WeightGrid(quantized, scales, zero_points.astype(quantized.dtype), axis)


def _stated_weights(
    values: npt.NDArray[np.float32],
    stated: tuple[tuple[float, ...], tuple[int, ...]],
    channel_axis: int | None,
    fmt: Format,
) -> WeightGrid:
    axis = channel_axis if len(stated[0]) > 1 else None
    shape = () if axis is None else (len(stated[0]),)
    scales = np.array(stated[0], np.float32).reshape(shape)
    zero_points = np.array(stated[1], integer_dtype(fmt.bits, signed=True)).reshape(shape)
    quantized = quantize_weights(values, scales, zero_points, axis, fmt.bits)
    return WeightGrid(quantized, scales, zero_points.astype(quantized.dtype), axis)


def integer_grid(ends: tuple[int, int], fmt: Format) -> Grid | None:
    """Grid with scale 1 that holds the integers ``ends`` exactly, None if ``fmt`` is too narrow.

    0..255 and -128..127 need 8 bit, -32768..32767 needs 16; 16 bit are always signed.
    """
    for signed in (True, False) if fmt is Format.INT8 else (True,):
        grid = Grid(scale=1.0, zero_point=0, bits=fmt.bits, signed=signed)
        if grid.qmin <= ends[0] and ends[1] <= grid.qmax:
            return grid
    return None


def exact_ends(network: Network, ranges: Ranges, tensor: int) -> tuple[int, int]:
    """Smallest and largest number of an input that is not to be quantized.

    Raises:
        InvalidDataError: If it held other than whole numbers, or none at all, or some beyond 16 bit.
    """
    name, ends = network.tensors[tensor].op_name, ranges.extremes[tensor]
    if not ranges.integral[tensor] or not np.isfinite(ends).all():
        raise InvalidDataError(
            f"Input {name!r} is not to be quantized, but its calibration samples are not whole numbers. "
            f"Remove inputs.{name}.quantize: false, or give the samples as integers."
        )
    low, high = int(ends[0]), int(ends[1])
    if integer_grid((low, high), Format.INT16) is None:
        raise InvalidDataError(
            f"Input {name!r} is not to be quantized, but it holds {low} to {high}; only -32768 to 32767 can be kept as "
            f"they are. Remove inputs.{name}.quantize: false, or bring the samples into this range."
        )
    return low, high


def check_symmetry(target: Target, symmetric: Literal["auto"] | bool) -> None:
    """Weights without symmetry need a zero point.

    Raises:
        UsageError: If the target has none.
    """
    if symmetric is False and ScaleRule(target.weight_rule) is ScaleRule.POWER:
        raise UsageError(
            f"calibration.weights.symmetric is false, but weights of target {target.name!r} have no zero point; "
            "use auto or true."
        )
