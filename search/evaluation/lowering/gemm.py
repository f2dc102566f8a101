"""Conv, ConvTranspose, Gemm and MatMul with all they took in, as sums of products in one accumulator.

``s_acc = alpha * s_a * s_b``; the bias is added in units of it, a summed input through a factor of its own, Relu and
Clip become bounds of the accumulator. See docs/numerics.md#lowering.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx

from search.evaluation.lowering import attributes
from search.evaluation.lowering.gemm_sides import Sides, rows_per_channel, sides_of, transposed_again
from search.evaluation.lowering.gemm_sum import FittedWeights, coarse_sum, fit_weights, lift_for, spare_bits
from search.evaluation.lowering.group_context import GroupContext, Quantity
from search.graph.network import SlotKind
from search.precision import Format, Precision
from search.simulator.making.factors import preload_rescale, requantizer
from search.simulator.making.gemms import GemmConstants, bias_integers, bound_integers
from search.simulator.program import Gemm, Preload, Rescale, Window
from search.simulator.rescale import Int64Array

DoubleArray = npt.NDArray[np.float64]
Place = tuple[onnx.NodeProto, int]
_KINDS: dict[str, Literal["conv", "conv_transpose", "matmul"]] = {
    "Conv": "conv",
    "ConvTranspose": "conv_transpose",
    "Gemm": "matmul",
    "MatMul": "matmul",
}
_DEFAULT_ACC_BITS = {Precision.A16W16: 48}
"""Accumulator of pairs a target does not name; 32 for all others."""


class GemmForm:
    """One gemm taken apart: what it adds, what bounds it, what is left to float.

    Attributes:
        is_integer: Whether its sums can be computed in integers.
        remaining: Nodes that follow in float, because the summed input is read in float.
    """

    def __init__(self, context: GroupContext) -> None:
        self._site = context
        self._anchor = next(node for node in context.nodes if node.name == context.name)
        self._bias: Place | None = None
        self._sum: Place | None = None
        self._activation: onnx.NodeProto | None = None
        self.remaining: tuple[onnx.NodeProto, ...] = ()
        self._lift = 0
        self._sides = sides_of(context, self._anchor)
        self._window = None if self._sides is None else self._geometry(self._sides)
        is_fit = self._sides is not None and (self._window is not None or not self._is_convolution)
        self.is_integer = is_fit and self._take_third() and self._take_tail()

    def append(self) -> None:
        """Append the step, and hold what it writes."""
        sides = self._sides
        if sides is None:
            raise ValueError(f"{self._site.name!r} has no integer form.")
        constants = self._constants(sides)
        self._site.warn(constants.warnings)
        self._lift = self._room_for_sum(sides, constants)
        constants = replace(constants, scales=np.ldexp(constants.scales, -self._lift))
        if self.remaining:
            self._append_before_float(sides, constants)
        elif self._site.out_grid is not None:
            rescale = self._rescale(sides, constants, self._site.out_grid.scale)
            self._site.done(self._step(sides, constants, self._site.output, rescale=rescale))
        else:
            self._append_float(sides, constants)

    def _append_before_float(self, sides: Sides, constants: GemmConstants) -> None:
        """The accumulator as float32, for the float addition that follows."""
        first = self.remaining[0]
        inside = {name for node in self._site.nodes for name in node.output}
        value = next(name for name in first.input if name in inside)
        output = self._site.builder.name_for_written(value, None)
        self._site.builder.steps.append(self._step(sides, constants, output))
        self._site.builder.hold(value, output)

    def _append_float(self, sides: Sides, constants: GemmConstants) -> None:
        """The accumulator as float32 or binary16."""
        context = self._site
        builder, tensor = context.builder, context.tensor
        half = context.out_format is Format.FP16 and not builder.prescale.get(tensor, 0)
        output = builder.name_for_written(context.value, None if half else tensor)
        builder.steps.append(self._step(sides, constants, output, half=half))
        if half:
            builder.hold(context.value, output)
        else:
            builder.store(context.value, output, tensor, context.name)

    @property
    def _is_convolution(self) -> bool:
        return self._anchor.op_type in ("Conv", "ConvTranspose")

    @property
    def _axis(self) -> int:
        """Axis of the channels in the accumulator: rows where the weights stand on the left."""
        if self._is_convolution:
            return 1
        sides = self._sides
        is_left = sides is not None and sides.weights is not None and sides.weight_index == 0
        has_columns = self._bias is not None and self._bias[0] is self._anchor
        return -2 if is_left and not has_columns else -1

    def _geometry(self, sides: Sides) -> Window | None:
        if not self._is_convolution or sides.weights is None:
            return None
        kernel = sides.weights.shape[2:]
        sizes = self._site.sizes(self._anchor.input[0])
        spatial = None if sizes is None else sizes[2:]
        if self._anchor.op_type == "Conv":
            return attributes.window(self._anchor, kernel, spatial)
        return attributes.transposed_window(self._anchor, kernel, spatial)

    def _take_third(self) -> bool:
        """Input 2 of the gemm itself; whether it fits."""
        anchor = self._anchor
        if self._site.is_absent(anchor, 2):
            return True
        if self._site.has_bias(anchor, 2):
            self._bias = (anchor, 2)
            return True
        if self._site.read(anchor, 2) is None or not self._beta > 0:
            return False
        self._sum = (anchor, 2)
        return True

    def _take_tail(self) -> bool:
        """What follows the gemm; whether all of it fits."""
        tail = [node for node in self._site.nodes if node is not self._anchor]
        for i, node in enumerate(tail):
            if node.op_type != "Add":
                self._activation = node
                continue
            bias = next((index for index in (0, 1) if self._site.has_bias(node, index)), None)
            if bias is not None:
                self._bias = (node, bias)
                continue
            place = self._sum_place(node)
            if place is None:
                return False
            if self._site.read(*place) is None:
                self.remaining = tuple(tail[i:])
                return True
            self._sum = place
        return True

    def _sum_place(self, node: onnx.NodeProto) -> Place | None:
        for index in (0, 1):
            slot = self._site.slot(node, index)
            if slot is not None and slot.kind is SlotKind.SUM_IN:
                return node, index
        return None

    @property
    def _beta(self) -> float:
        """Factor of input 2."""
        return attributes.number(self._anchor, "beta", 1.0) if self._anchor.op_type == "Gemm" else 1.0

    def _acc_bits(self, sides: Sides) -> int:
        default = _DEFAULT_ACC_BITS.get(sides.precision, 32)
        return self._site.arithmetic.acc_bits.get(sides.precision, default)

    def _constants(self, sides: Sides) -> GemmConstants:
        """Integer bias, and weights that are coarser where the bias asks for it."""
        group = attributes.integer(self._anchor, "group", 1)
        weights, scales, weight_axis = sides.weights, sides.weight_scales, sides.weight_axis
        is_transposed = self._anchor.op_type == "ConvTranspose" and weights is not None
        if is_transposed and weights is not None:
            weights = rows_per_channel(weights, group)
            scales, weight_axis = (np.tile(scales, group), 0) if scales.ndim else (scales, None)
        bias = self._bias_values()
        if weights is not None and self._sum is not None:
            fitted = self._fitted(sides, weights, scales, weight_axis or 0)
            weights, scales = fitted.weights, fitted.scales
        made = bias_integers(
            bias,
            sides.scale,
            scales,
            weights=weights,
            weight_axis=weight_axis or 0,
            axis=self._axis if bias is not None and bias.ndim > 1 else None,
            acc_bits=self._acc_bits(sides),
            node=self._site.name,
        )
        if is_transposed and made.weights is not None:
            return replace(made, weights=transposed_again(made.weights, group))
        return made

    def _bias_values(self) -> DoubleArray | None:
        """The bias, ``beta`` included: ``[]``, ``[C]``, or of the accumulator's rank."""
        if self._bias is None:
            return None
        node, index = self._bias
        values = np.asarray(self._site.constant(node, index), np.float64)
        if node is self._anchor:
            values = values * self._beta
        if values.size == 1:
            return values.reshape(())
        wide = [i - values.ndim for i, size in enumerate(values.shape) if size > 1]
        is_per_channel = len(wide) == 1 and (self._is_convolution or wide[0] == self._axis)
        return values.reshape(-1) if is_per_channel else values.reshape((1,) * (2 - values.ndim) + values.shape)

    def _rescale(self, sides: Sides, constants: GemmConstants, scale: float) -> Rescale:
        largest = self._largest(sides, constants)
        made = requantizer(constants.scales / scale, self._site.widths, node=self._site.name, largest=largest)
        self._site.warn(made.warnings)
        if self._sum is not None:
            self._site.warn(coarse_sum(constants.scales / scale, node=self._site.name))
        return made.rescale

    def _largest(self, sides: Sides, constants: GemmConstants) -> DoubleArray:
        """Largest ``|acc|`` there can be, without the summed input."""
        weights = constants.weights
        if weights is None or self._anchor.op_type == "ConvTranspose" or sides.weight_axis is None:
            return np.asarray(2.0 ** (self._acc_bits(sides) - 1))
        others = tuple(i for i in range(weights.ndim) if i != sides.weight_axis)
        bias = np.zeros(()) if constants.bias is None or constants.bias.ndim > 1 else np.abs(constants.bias)
        largest = np.asarray(np.abs(weights).sum(axis=others) * float(sides.reach) + bias, np.float64)
        return np.ldexp(largest, self._lift)

    def _room_for_sum(self, sides: Sides, constants: GemmConstants) -> int:
        """Left shift of the accumulator that makes its step fine enough for the summed input, as far as it has room."""
        if self._sum is None or self.remaining:
            return 0
        grid = self._site.out_grid
        finest = min(self._sum_read().scale, np.inf if grid is None else grid.scale)
        needed = lift_for(constants.scales, finest)
        sums = self._largest(sides, constants) + self._sum_read().reach * self._sum_factor(constants.scales)
        return min(needed, spare_bits(sums, self._acc_bits(sides)))

    def _fitted(self, sides: Sides, weights: Int64Array, scales: DoubleArray, axis: int) -> FittedWeights:
        """Weights whose accumulator the summed input reaches."""
        fitted = fit_weights(
            weights,
            scales,
            axis,
            factor=self._sum_factor(sides.scale * scales),
            widths=self._site.widths,
            left_shift=self._site.arithmetic.preload_left_shift,
            node=self._site.name,
        )
        self._site.warn(fitted.warnings)
        return fitted

    def _sum_read(self) -> Quantity:
        """The integers of the summed input."""
        read = None if self._sum is None else self._site.read(*self._sum)
        if read is None:
            raise ValueError(f"{self._site.name!r}: the summed input is no integer.")
        return read

    def _sum_factor(self, scales: DoubleArray) -> DoubleArray:
        """Step of the summed input over that of the accumulator."""
        beta = self._beta if self._sum is not None and self._sum[0] is self._anchor else 1.0
        return np.asarray(beta * self._sum_read().scale / scales, np.float64)

    def _preload(self, scales: DoubleArray) -> Preload | None:
        if self._sum is None:
            return None
        left_shift = self._site.arithmetic.preload_left_shift
        factor = self._sum_factor(scales)
        made = preload_rescale(factor, self._site.widths, left_shift=left_shift, node=self._site.name)
        self._site.warn(made.warnings)
        return Preload(input=str(self._sum_read().operand), rescale=made.rescale)

    def _bounds(self) -> tuple[float | None, float | None]:
        """Ends of the fused Relu or Clip."""
        node = self._activation
        if node is None:
            return None, None
        if node.op_type == "Relu":
            return 0.0, None
        return self._site.bound(node, 1), self._site.bound(node, 2)

    def _step(
        self, sides: Sides, constants: GemmConstants, output: str, *, rescale: Rescale | None = None, half: bool = False
    ) -> Gemm:
        anchor, acc_bits = self._anchor, self._acc_bits(sides)
        if sides.weights is not None and constants.weights is not None:
            sides = replace(sides, weights=constants.weights)
        a, b = sides.operands
        low, high = self._bounds() if not self.remaining else (None, None)
        is_gemm = anchor.op_type == "Gemm"
        return Gemm(
            name=self._site.name,
            output=output,
            kind=_KINDS[anchor.op_type],
            a=a,
            b=b,
            bias=constants.bias,
            preload=self._preload(constants.scales),
            low=bound_integers(low, constants.scales, acc_bits),
            high=bound_integers(high, constants.scales, acc_bits),
            rescale=rescale,
            scales=np.asarray(constants.scales, np.float64),
            axis=self._axis,
            acc_bits=acc_bits,
            overflow=self._site.arithmetic.overflow,
            window=self._window,
            trans_a=is_gemm and bool(attributes.integer(anchor, "transA", 0)),
            trans_b=is_gemm and bool(attributes.integer(anchor, "transB", 0)),
            half=half,
            lift=self._lift,
            depth=self._depth(sides),
        )

    def _depth(self, sides: Sides) -> int | None:
        """Length of the sums where both sides are values and it is known."""
        sizes = None if sides.weights is not None else self._site.sizes(self._anchor.input[0])
        if not sizes:
            return None
        is_turned = self._anchor.op_type == "Gemm" and bool(attributes.integer(self._anchor, "transA", 0))
        size = sizes[-2 if is_turned else -1]
        return size if size > 0 else None
