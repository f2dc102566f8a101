"""Programs of a single step over integers, and the integers it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

from search.quant.grid import Grid
from search.simulator.program import Program, Step, Widths
from search.simulator.reference.values import Values
from search.simulator.rescale import Rescale, Rounding

WIDTHS = Widths(multiplier_bits=15, shift_min=0, shift_max=47)
INT8 = Grid(scale=0.0625, zero_point=0, bits=8, signed=True)
INT16 = Grid(scale=2.0**-10, zero_point=0, bits=16, signed=True)
ONE = Rescale(np.asarray(1), np.asarray(0))

Array = npt.NDArray[Any]


def uint8(zero_point: int, scale: float = 0.0625) -> Grid:
    return Grid(scale=scale, zero_point=zero_point, bits=8, signed=False)


def values_of(
    integers: dict[str, tuple[Array, Grid]], outputs: dict[str, Grid], rounding: Rounding = "half_up"
) -> Values:
    """Values in the middle of a run: integers with their grids, and the grids of what comes next."""
    values = Values({**{name: grid for name, (_, grid) in integers.items()}, **outputs}, rounding)
    for name, (array, _) in integers.items():
        values[name] = np.asarray(array, np.int64)
    return values


def program_of(
    steps: tuple[Step, ...],
    grids: dict[str, Grid],
    *,
    inputs: dict[str, int],
    outputs: tuple[str, ...],
    constants: dict[str, Array] | None = None,
    opset: int = 21,
) -> Program:
    """A program with float inputs (name to rank) and float outputs."""
    return Program(
        steps=steps,
        grids=grids,
        constants={name: numpy_helper.from_array(array, name) for name, array in (constants or {}).items()},
        inputs=tuple(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank) for name, rank in inputs.items()
        ),
        outputs=tuple(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs),
        widths=WIDTHS,
        opset=(helper.make_opsetid("", opset),),
        ir_version=10,
    )
