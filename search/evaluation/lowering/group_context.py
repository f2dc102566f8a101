"""One group as its integer form sees it: which integers it reads, what it writes, attributes, constants, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import onnx

from search.arrays import Array
from search.calibration.grids import WeightGrid
from search.evaluation.lowering.program_builder import ProgramBuilder
from search.graph.network import Group, Slot
from search.precision import Format
from search.quant.grid import Grid
from search.simulator.making.factors import result_rescale
from search.simulator.program import Fixed, Rescale, Step, Warned, Widths
from search.simulator.rescale import Int64Array
from search.targets.settings import Arithmetic


@dataclass(frozen=True, eq=False)
class Quantity:
    """Integers that a group reads, and the real number one step of them is.

    Attributes:
        operand: A value of the program, or a constant without its zero point.
        scale: Step.
        reach: Largest ``|x'|`` there can be.
        grid: Grid of a value, None of a constant.
    """

    operand: str | Fixed
    scale: float
    reach: int
    grid: Grid | None = None


class GroupContext:
    """One group; lives only while the group is lowered.

    Args:
        builder: The program so far.
        index: Index of the group.
        nodes: Its nodes in the order of the graph.
        arithmetic: Widths of the target.
    """

    def __init__(
        self, builder: ProgramBuilder, index: int, nodes: Sequence[onnx.NodeProto], arithmetic: Arithmetic
    ) -> None:
        template = builder.template
        self.builder = builder
        self.group: Group = template.network.groups[index]
        self.nodes = tuple(nodes)
        self.arithmetic = arithmetic
        self.name = self.group.name
        self._template = template
        self._slots = {
            (slot.node, slot.index): (slot, fmt)
            for slot, fmt in zip(self.group.inputs, builder.placement.read[index], strict=True)
        }
        self._points = {
            (template.network.constants[c].node, template.network.constants[c].index): c
            for c in template.network.constants_of[index]
        }

    @property
    def widths(self) -> Widths:
        """The requantizer."""
        return self.builder.widths

    @property
    def node(self) -> onnx.NodeProto:
        """The only node, or the last one."""
        return self.nodes[-1]

    @property
    def value(self) -> str:
        """What the group writes."""
        return str(self.node.output[0])

    @cached_property
    def tensor(self) -> int:
        """Tensor the group writes."""
        return self._template.roots[self.value]

    @property
    def writes_one_value(self) -> bool:
        """Whether the first result of the last node is all there is to see."""
        return self.value in self._template.roots and len(self.group.outputs) == 1

    @property
    def out_format(self) -> Format:
        """Format in which the result is stored."""
        return self.builder.stored_format(self.tensor)

    @cached_property
    def out_grid(self) -> Grid | None:
        """Grid of the result, None where it is stored in float."""
        fmt = self.out_format
        return self.builder.source.activation(self.tensor, fmt) if fmt.is_integer else None

    @cached_property
    def output(self) -> str:
        """Name of the integers the group writes."""
        if self.out_grid is None:
            raise ValueError(f"{self.name!r} writes no integers.")
        return self.builder.integer_name(self.value, self.out_grid)

    def format(self, node: onnx.NodeProto, index: int) -> Format | None:
        """Format in which a slot is read; None where the input is no slot."""
        found = self._slots.get((node.name, index))
        return None if found is None else found[1]

    def slot(self, node: onnx.NodeProto, index: int) -> Slot | None:
        """The slot at an input."""
        found = self._slots.get((node.name, index))
        return None if found is None else found[0]

    def read(self, node: onnx.NodeProto, index: int) -> Quantity | None:
        """The integers at a slot; None where it is no slot, or read in float."""
        found = self._slots.get((node.name, index))
        if found is None or not found[1].is_integer:
            return None
        name = self.builder.integers(node.input[index], found[0].tensor, found[1])
        if name is None or name not in self.builder.grids:
            return None
        grid = self.builder.grids[name]
        return Quantity(name, grid.scale, max(grid.zero_point - grid.qmin, grid.qmax - grid.zero_point), grid)

    def weight(self, node: onnx.NodeProto, index: int) -> WeightGrid | None:
        """The integers of a constant point; None where it is none, or is kept in float."""
        constant = self._points.get((node.name, index))
        if constant is None or not self.builder.placement.constants[constant].is_integer:
            return None
        return self.builder.source.weight(constant, self.builder.placement.constants[constant])

    def is_point(self, node: onnx.NodeProto, index: int) -> bool:
        """Whether the input is a constant that is a point."""
        return (node.name, index) in self._points

    def weight_format(self, node: onnx.NodeProto, index: int) -> Format:
        """Format of a constant point."""
        return self.builder.placement.constants[self._points[node.name, index]]

    def operand(self, node: onnx.NodeProto, index: int) -> Quantity | None:
        """Integers at an input: of a slot, or of a constant point with one scale."""
        weight = self.weight(node, index)
        if weight is None:
            return self.read(node, index)
        if weight.axis is not None:
            return None
        values = without_zero_point(weight)
        return Quantity(Fixed(values), float(weight.scales), int(np.max(np.abs(values), initial=1)))

    def has_bias(self, node: onnx.NodeProto, index: int) -> bool:
        """Whether the input is a constant that a gemm adds to its accumulator, finite throughout."""
        if (node.name, index) not in self._template.biases:
            return False
        return bool(np.all(np.isfinite(self._template.array(node.input[index]).astype(np.float64))))

    def bound(self, node: onnx.NodeProto, index: int) -> float | None:
        """A bound of a Clip; None where it has none."""
        array = None if self.is_absent(node, index) else self.constant(node, index)
        return None if array is None else float(array.reshape(()))

    def scalar(self, node: onnx.NodeProto, index: int) -> float | None:
        """The one finite number of a constant that is no point."""
        array = self.constant(node, index)
        if array is None or array.size != 1 or self.is_point(node, index):
            return None
        number = float(array.reshape(()))
        return number if np.isfinite(number) else None

    def constant(self, node: onnx.NodeProto, index: int) -> Array | None:
        """Values of a constant input; None where there is none."""
        if index >= len(node.input) or node.input[index] not in self._template.initializers:
            return None
        return self._template.array(node.input[index])

    def initializer(self, name: str) -> onnx.TensorProto:
        """A constant of the model."""
        return self._template.initializers[name]

    @property
    def opset(self) -> list[onnx.OperatorSetIdProto]:
        """Operator sets of the model."""
        return list(self._template.model.opset_import)

    @property
    def ir_version(self) -> int:
        """Of the model."""
        return self._template.model.ir_version

    def is_absent(self, node: onnx.NodeProto, index: int) -> bool:
        """Whether an optional input is left out."""
        return index >= len(node.input) or not node.input[index]

    def sizes(self, value: str) -> tuple[int, ...] | None:
        """Sizes of a value, -1 where they follow the number of samples; None where they are unknown."""
        shape = self._template.shapes.get(value)
        return None if shape is None else tuple(-1 if size is None else size for size in shape)

    def warn(self, warnings: Sequence[Warned]) -> None:
        """Keep what the making of a step gave way to."""
        self.builder.warnings.extend(warnings)

    def rescale(self, factor: npt.ArrayLike) -> Rescale:
        """``factor`` as multiplier and shift of a result; what is lost by it becomes a warning."""
        made = result_rescale(factor, self.widths, node=self.name)
        self.warn(made.warnings)
        return made.rescale

    def move_rescale(self, quantity: Quantity) -> Rescale | None:
        """From the grid of a value to that of the result; None where they are equal."""
        if quantity.grid == self.out_grid or self.out_grid is None:
            return None
        return self.rescale(quantity.scale / self.out_grid.scale)

    def done(self, *steps: Step) -> bool:
        """Append the steps that compute the result; say that it is done."""
        self.builder.steps.extend(steps)
        self.builder.hold(self.value, self.output)
        return True


def without_zero_point(weight: WeightGrid) -> Int64Array:
    """Integers of a constant as they enter the arithmetic."""
    zero_points = weight.zero_points.astype(np.int64)
    if weight.axis is not None:
        shape = [1] * weight.values.ndim
        shape[weight.axis] = -1
        zero_points = zero_points.reshape(shape)
    return np.asarray(weight.values.astype(np.int64) - zero_points)
