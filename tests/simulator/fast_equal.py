"""Small programs over given integers, and the check that both ways to run them give the same bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from one_step import program_of

from search.quant.grid import Grid
from search.runtime.session import Level, Session
from search.simulator.fast.build import build
from search.simulator.fast.session import IntegerSession
from search.simulator.program import Program, Quantize, Rescale, Step, Widths
from search.simulator.reference.run import Reference
from search.simulator.rescale import Rounding, at_shift, normalized

Array = npt.NDArray[Any]
ROUNDINGS: tuple[Rounding, ...] = ("half_up", "half_even", "half_away")


def signed(bits: int = 8) -> Grid:
    return Grid(scale=1.0, zero_point=0, bits=bits, signed=True)


@st.composite
def grids(draw: st.DrawFn, bits: tuple[int, ...] = (8, 16)) -> Grid:
    """Symmetric or not, signed or not."""
    width = draw(st.sampled_from(bits))
    if draw(st.booleans()):
        return signed(width)
    empty = Grid(scale=1.0, zero_point=0, bits=width, signed=draw(st.booleans()))
    zero_point = draw(st.one_of(st.sampled_from([empty.qmin, empty.qmax, 0]), st.integers(empty.qmin, empty.qmax)))
    return replace(empty, zero_point=zero_point)


@st.composite
def integers(draw: st.DrawFn, grid: Grid, shape: tuple[int, ...]) -> Array:
    """All over the grid, at its ends only, or near zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["any", "ends", "near", "top"]))
    if kind == "top":
        return np.full(shape, grid.qmax)
    if kind == "ends":
        return np.where(rng.random(shape) < 0.5, grid.qmin, grid.qmax)
    if kind == "near":
        return np.clip(grid.zero_point + rng.integers(-3, 4, shape), grid.qmin, grid.qmax)
    return rng.integers(grid.qmin, grid.qmax + 1, shape)


@st.composite
def weights(draw: st.DrawFn, shape: tuple[int, ...], bits: int) -> Array:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    end = 2 ** (bits - 1)
    if draw(st.booleans()):
        return rng.integers(-end, end, shape)
    return np.where(rng.random(shape) < 0.5, -end, end - 1)


@st.composite
def rescales(draw: st.DrawFn, largest: float, to: Grid, channels: tuple[int, ...] = (), bits: int = 15) -> Rescale:
    """Factors that bring ``largest`` near the end of the grid, far inside or far beyond it; shifts from 0 to 47."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    spread = draw(st.sampled_from([0.0, 1.0, 4.0]))
    end = (to.qmax - to.qmin) / max(largest, 1.0) * 2.0 ** draw(st.integers(-4, 6))
    factors = end * 2.0 ** rng.uniform(-spread, spread, channels)
    if draw(st.integers(0, 3)) == 0:
        factors = np.exp2(np.rint(np.log2(factors)))  # multipliers with one bit: many ties
    made = normalized(factors, bits)
    shift = np.clip(made.shift, 0, 47)
    return Rescale(np.minimum(at_shift(factors, shift).multiplier, 2**bits - 1), shift)


def program(
    steps: Sequence[Step],
    all_grids: Mapping[str, Grid],
    fed: Mapping[str, Array],
    *,
    rounding: Rounding = "half_up",
    outputs: tuple[str, ...] = (),
    constants: dict[str, Array] | None = None,
) -> Program:
    """A program whose integer values ``fed`` come from float inputs ``<name>_float``."""
    quantized = [Quantize(name=name, output=name, input=f"{name}_float") for name in fed]
    made = program_of(
        (*quantized, *steps),
        dict(all_grids),
        inputs={f"{name}_float": np.ndim(array) for name, array in fed.items()},
        outputs=outputs,
        constants=constants,
    )
    return replace(made, widths=Widths(multiplier_bits=15, shift_min=0, shift_max=47, rounding=rounding))


def assert_equal_bits(made: Program, feeds: Mapping[str, Array], *, level: Level = Level.INTEGER) -> dict[str, Array]:
    """Every value of the program, from both ways, and the overflows; returns those of the reference."""
    names = [name for step in made.steps for name in (step.output, *getattr(step, "more", ())) if name]
    expected = Reference(made).run(feeds, keep="all")
    got = Session(build(made, keep=names).proto, level=level).run(feeds, names)
    for name in names:
        value = got[name]
        if name in made.grids:
            value = value + np.float32(made.grids[name].zero_point)
            assert value.dtype == np.float32
        np.testing.assert_array_equal(value, expected.kept[name].astype(value.dtype), err_msg=name)
        assert not np.any(np.signbit(value) & (value == 0)) or name not in made.grids, f"{name}: a negative zero"
    if made.outputs:
        session = IntegerSession(made)
        session.run(feeds)
        assert session.overflows == expected.overflows
    return dict(expected.kept)


def check(
    steps: Sequence[Step],
    all_grids: Mapping[str, Grid],
    fed: Mapping[str, Array],
    *,
    rounding: Rounding = "half_up",
    outputs: tuple[str, ...] = (),
    constants: dict[str, Array] | None = None,
) -> dict[str, Array]:
    """``assert_equal_bits`` of the steps over integers ``fed`` (with zero point)."""
    made = program(steps, all_grids, fed, rounding=rounding, outputs=outputs, constants=constants)
    feeds = {f"{name}_float": (array - all_grids[name].zero_point).astype(np.float32) for name, array in fed.items()}
    return assert_equal_bits(made, feeds)
