"""What a program under construction holds: its steps, and in which forms it has each value of the prepared graph.

A value is *stored* once: as integers on its tensor's grid, rounded to binary16, or as it is. A reader that wants
another format gets a cast of the stored form; every form of a value is made once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from search.arrays import Array
from search.evaluation.biases import GridSource
from search.evaluation.lowering.names import Names
from search.evaluation.template import Template
from search.precision import Format
from search.quant.grid import Grid
from search.simulator.making.factors import result_rescale
from search.simulator.program import Dequantize, Quantize, Requantize, RoundHalf, Step, Warned, Widths
from search.targets.placement import Placement


class ProgramBuilder:
    """Steps, grids, constants and warnings so far; lives only inside ``lower``."""

    def __init__(
        self,
        template: Template,
        placement: Placement,
        grids: GridSource,
        widths: Widths,
        prescale: Mapping[int, int],
    ) -> None:
        graph = template.model.graph
        inputs = [value.name for value in graph.input]
        self.template = template
        self.placement = placement
        self.source = grids
        self.widths = widths
        self.prescale = prescale
        self.steps: list[Step] = []
        self.grids: dict[str, Grid] = {}
        self.constants: dict[str, onnx.TensorProto] = {}
        self.warnings: list[Warned] = []
        self.names = Names([*template.names, *(node.name for node in graph.node)], [*inputs, *template.initializers])
        self._held: dict[str, str] = {}
        self._value_of: dict[str, str] = {}
        self._reals: dict[str, str] = {}
        self._casts: dict[tuple[str, Format], str] = {}

    def held(self, value: str) -> str:
        """Program value in which ``value`` is stored; constants and model inputs stand for themselves."""
        return self._held.get(value, value)

    def hold(self, value: str, program_value: str) -> None:
        """Say that ``program_value`` is the stored form of ``value``."""
        self._held[value] = program_value
        self._value_of[program_value] = value

    def is_held(self, value: str) -> bool:
        """Whether ``value`` was stored in a form of its own."""
        return value in self._held

    def stored_format(self, tensor: int) -> Format:
        """What the tensor is stored in; one of another type than float32 is left alone."""
        return Format.FP32 if tensor in self.template.foreign else self.placement.stored[tensor]

    def integer_name(self, value: str, grid: Grid) -> str:
        """A new integer value that is a form of ``value``."""
        name = self.names.fresh(f"{value}_quantized")
        self.grids[name] = grid
        return name

    def store(self, value: str, written: str, tensor: int, node: str) -> None:
        """Bring the float program value ``written`` to the stored format of ``tensor`` and hold it as ``value``."""
        fmt = self.stored_format(tensor)
        if fmt is Format.FP32:
            self.hold(value, written)
        elif fmt is Format.FP16:
            output = self.names.own(value, f"{value}_rounded")
            self.hold(value, self._half(output, written, tensor, node))
        else:
            self.hold(value, self._quantized(value, written, self.source.activation(tensor, fmt), node))

    def name_for_written(self, value: str, tensor: int | None) -> str:
        """Name of what a float operator writes as ``value``: its own, unless that is left to the rounded one."""
        if tensor is None or self.stored_format(tensor) is Format.FP32:
            return self.names.own(value, value)
        return self.names.fresh(f"{value}_raw")

    def integers(self, value: str, tensor: int, fmt: Format) -> str | None:
        """Program value with ``value`` as integers of format ``fmt``, cast if need be; None for a foreign tensor."""
        if tensor in self.template.foreign:
            return None
        held = self.held(value)
        if fmt is self.placement.stored[tensor]:
            return held
        if (value, fmt) not in self._casts:
            grid = self.source.activation(tensor, fmt)
            self._casts[value, fmt] = self._cast(f"{value}_{fmt.value}", held, grid)
        return self._casts[value, fmt]

    def real(self, program_value: str) -> str:
        """Float form of a program value: itself, or dequantized."""
        if program_value not in self.grids:
            return program_value
        if program_value not in self._reals:
            value = self._value_of.get(program_value)
            if value is None:  # a cast
                stem = program_value.removesuffix("_quantized")
                output = self.names.fresh(stem)
            else:
                stem, output = value, self.names.own(value, f"{value}_dequantized")
            self.steps.append(Dequantize(name=stem, output=output, input=program_value))
            self._reals[program_value] = output
        return self._reals[program_value]

    def real_read(self, value: str, tensor: int, fmt: Format) -> str:
        """Float program value that a reader of ``value`` sees which asks for ``fmt``."""
        held = self.held(value)
        if fmt in (self.placement.stored[tensor], Format.FP32) or tensor in self.template.foreign:
            return self.real(held)
        if fmt is not Format.FP16:
            return self.real(self.integers(value, tensor, fmt) or held)
        if (value, fmt) not in self._casts:
            output = self.names.fresh(f"{value}_fp16")
            self._casts[value, fmt] = self._half(output, self.real(held), tensor, value)
        return self._casts[value, fmt]

    def constant(self, wanted: str, array: Array) -> str:
        """Add a constant; return its name."""
        name = self.names.fresh(wanted)
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return name

    def use(self, initializer: str) -> str:
        """Take a constant of the model into the program; return its name."""
        self.constants[initializer] = self.template.initializers[initializer]
        return initializer

    def _cast(self, stem: str, held: str, grid: Grid) -> str:
        """Integers of ``grid`` from a stored value; ``stem`` names them."""
        source = self.grids.get(held)
        if source is None:
            return self._quantized(stem, held, grid, stem)
        output = self.integer_name(stem, grid)
        made = result_rescale(np.float64(source.scale) / grid.scale, self.widths, node=stem)
        self.warnings.extend(made.warnings)
        self.steps.append(Requantize(name=stem, output=output, input=held, rescale=made.rescale))
        return output

    def _quantized(self, value: str, written: str, grid: Grid, node: str) -> str:
        output = self.integer_name(value, grid)
        self.steps.append(Quantize(name=node, output=output, input=written))
        return output

    def _half(self, output: str, written: str, tensor: int, node: str) -> str:
        k = self.prescale.get(tensor, 0)
        self.steps.append(RoundHalf(name=node, output=output, input=written, prescale=k))
        return output
