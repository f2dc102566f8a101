"""Run a program step by step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from onnx import numpy_helper

from search.arrays import Array
from search.simulator import program as steps
from search.simulator.program import Overflow, Program, Step
from search.simulator.reference.casts import run_dequantize, run_quantize, run_requantize, run_round_half
from search.simulator.reference.elementwise import run_product, run_quotient, run_rectify, run_sum, run_table
from search.simulator.reference.gemm import run_gemm
from search.simulator.reference.movement import Operators, run_concat, run_lookup, run_pad
from search.simulator.reference.norms import run_euclidean_norm, run_layer_norm, run_softmax
from search.simulator.reference.spatial import run_interpolate, run_max_pool, run_mean, run_pick
from search.simulator.reference.values import Values

_FUNCTIONS: Mapping[type[Step], Callable[[Any, Values], Array]] = {
    steps.Quantize: run_quantize,
    steps.Dequantize: run_dequantize,
    steps.RoundHalf: run_round_half,
    steps.Requantize: run_requantize,
    steps.Gemm: run_gemm,
    steps.Sum: run_sum,
    steps.Product: run_product,
    steps.Quotient: run_quotient,
    steps.Rectify: run_rectify,
    steps.Table: run_table,
    steps.Softmax: run_softmax,
    steps.LayerNorm: run_layer_norm,
    steps.EuclideanNorm: run_euclidean_norm,
    steps.MaxPool: run_max_pool,
    steps.Mean: run_mean,
    steps.Interpolate: run_interpolate,
    steps.Pick: run_pick,
    steps.Concat: run_concat,
    steps.PadWith: run_pad,
    steps.Lookup: run_lookup,
}


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a run made.

    Attributes:
        values: Model outputs by name.
        overflows: Accumulators that left their width: one per node, with its largest sum, in the order of the steps.
        kept: The values asked for by ``keep``: integers in the dtype of their grid, others as they are.
    """

    values: Mapping[str, Array]
    overflows: tuple[Overflow, ...]
    kept: Mapping[str, Array]


class Reference:
    """A program ready to run more than once: sessions of its float operators are kept between runs."""

    def __init__(self, program: Program) -> None:
        """Take a program; nothing is computed."""
        self._program = program
        self._operators = Operators(program)

    def run(self, feeds: Mapping[str, Array], *, keep: Collection[str] | Literal["all"] = ()) -> Outputs:
        """Run once.

        Args:
            feeds: Model inputs by name.
            keep: Names of values to return as well, or ``all``.

        Raises:
            UnsupportedModelError: If the runtime refuses a float operator.
            ValueError: If an input is missing or the program is broken.
        """
        program = self._program
        values = Values(program.grids, program.widths.rounding)
        for name, tensor in program.constants.items():
            values[name] = numpy_helper.to_array(tensor)
        for info in program.inputs:
            values[info.name] = _fed(feeds, info.name)
        made: list[str] = []
        for step in program.steps:
            made += self._take(step, values)
        names = dict.fromkeys(made) if keep == "all" else keep
        return Outputs(
            values={info.name: values[info.name] for info in program.outputs},
            overflows=_worst(values.overflows),
            kept={name: _typed(name, values) for name in names},
        )

    def _take(self, step: Step, values: Values) -> list[str]:
        """Run one step and return the names it made."""
        match step:
            case steps.Float():
                results = self._operators.run_float(step, values)
            case steps.Move():
                results = self._operators.run_move(step, values)
            case _ if type(step) in _FUNCTIONS:
                results = {step.output: _FUNCTIONS[type(step)](step, values)}
            case _:
                raise ValueError(f"{step.name}: no way to run a step of type {type(step).__name__}.")
        for name, array in results.items():
            values[name] = array
        return list(results)


def run(program: Program, feeds: Mapping[str, Array], *, keep: Collection[str] | Literal["all"] = ()) -> Outputs:
    """Run ``program`` once; ``Reference`` is for more than one run."""
    return Reference(program).run(feeds, keep=keep)


def _worst(overflows: Iterable[Overflow]) -> tuple[Overflow, ...]:
    """Keep the largest of each node, where it was first seen."""
    worst: dict[str, Overflow] = {}
    for found in overflows:
        known = worst.setdefault(found.node, found)
        if found.largest > known.largest:
            worst[found.node] = found
    return tuple(worst.values())


def _fed(feeds: Mapping[str, Array], name: str) -> Array:
    if name not in feeds:
        raise ValueError(f"The input {name!r} is missing; got {sorted(feeds)}.")
    return np.asarray(feeds[name])


def _typed(name: str, values: Values) -> Array:
    return values[name].astype(values.grid(name).dtype) if values.is_integer(name) else values[name]
