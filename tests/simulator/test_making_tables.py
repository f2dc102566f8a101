"""Tables of functions against the functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_step import INT8, INT16, values_of

from search.quant.grid import Grid, ScaleRule, dequantize, make_grid, quantize
from search.simulator.making.tables import Entries, entries_of, table, table_points
from search.simulator.program import Table
from search.simulator.reference.elementwise import run_table

SMOOTH: dict[str, tuple[Callable[[Any], Any], float]] = {
    # function and a bound of its second derivative
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 0.1),
    "tanh": (np.tanh, 0.77),
    "silu": (lambda x: x / (1 + np.exp(-x)), 0.5),
    "sin": (np.sin, 1.0),
    "gauss": (lambda x: np.exp(-x * x), 2.0),
}


def read(made: Entries, q: Any, in_grid: Grid, out_grid: Grid) -> Any:
    step = Table(
        name="n",
        output="y",
        input="x",
        entries=made.entries,
        segment_bits=made.segment_bits,
        fraction_bits=made.fraction_bits,
    )
    return run_table(step, values_of({"x": (q, in_grid)}, {"y": out_grid}))


@pytest.mark.parametrize("rule", list(ScaleRule))
@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_an_8_bit_table_is_the_function_quantized(name: str, rule: ScaleRule) -> None:
    function, _ = SMOOTH[name]
    in_grid = make_grid(-4.1, 5.3, bits=8, rule=rule)
    out_grid = make_grid(-1.2, 5.3, bits=8, rule=rule)
    made = table(function, in_grid, out_grid)
    assert (made.entries.shape, made.segment_bits, made.fraction_bits) == ((256,), 0, 0)
    q = np.arange(in_grid.qmin, in_grid.qmax + 1)
    x = dequantize(q.astype(in_grid.dtype), in_grid).astype(np.float64)
    exact = function(x) / out_grid.scale + out_grid.zero_point
    got = read(made, q, in_grid, out_grid)
    assert np.abs(got - np.clip(exact, out_grid.qmin, out_grid.qmax)).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("rule", list(ScaleRule))
@pytest.mark.parametrize("out_bits", [8, 16])
@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_a_16_bit_table_is_within_its_bound_at_every_integer(name: str, out_bits: int, rule: ScaleRule) -> None:
    function, curvature = SMOOTH[name]
    in_grid = make_grid(-4.1, 5.3, bits=16, rule=rule)
    out_grid = make_grid(-1.2, 5.4, bits=out_bits, rule=rule)
    made = table(function, in_grid, out_grid)
    assert (made.entries.shape, made.segment_bits, made.fraction_bits) == ((1025,), 6, 8 if out_bits == 8 else 0)
    q = np.arange(in_grid.qmin, in_grid.qmax + 1)
    x = (q - in_grid.zero_point) * in_grid.scale
    exact = np.clip(function(x) / out_grid.scale + out_grid.zero_point, out_grid.qmin, out_grid.qmax)
    got = read(made, q, in_grid, out_grid)
    line = (64 * in_grid.scale) ** 2 / 8 * curvature / out_grid.scale
    assert np.abs(got - exact).max() <= line + 0.5 * 2.0**-made.fraction_bits + 0.5 + 1e-9


@pytest.mark.parametrize("bits", [8, 16])
def test_infinities_saturate_and_nan_is_the_lowest_integer(bits: int) -> None:
    grid = INT8 if bits == 8 else INT16
    made = table(np.log, grid, INT8)
    assert made.entries.min() == -128 * 2**made.fraction_bits
    assert made.entries[0] == -128 * 2**made.fraction_bits


@given(seed=st.integers(0, 99))
def test_entries_of_a_quantized_function_equal_quantize_linear(seed: int) -> None:
    values = np.random.default_rng(seed).normal(0, 4, 256).astype(np.float32)
    made = entries_of(values.astype(np.float64), INT8, INT8)
    np.testing.assert_array_equal(made.entries, quantize(values, INT8))


def test_the_points_of_a_table_are_the_reals_of_its_integers() -> None:
    eight = Grid(scale=0.25, zero_point=10, bits=8, signed=False)
    assert table_points(eight).tolist() == [(q - 10) * 0.25 for q in range(256)]
    sixteen = table_points(INT16)
    assert len(sixteen) == 1025
    assert sixteen[0] == INT16.low
    assert sixteen[-1] == math.ldexp(2**15, -10)


def test_a_wrong_number_of_values_is_named() -> None:
    with pytest.raises(ValueError, match=r"A table of 16 bit needs 1025 values, got \(256,\)"):
        entries_of(np.zeros(256), INT16, INT8)
