"""Sums, products, quotients, rectifiers and tables, one integer at a time with exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_step import INT8, INT16, ONE, uint8, values_of

from search.quant.grid import Grid
from search.simulator.program import Fixed, Product, Quotient, Rectify, Requantize, Sum, Table
from search.simulator.reference.casts import run_requantize
from search.simulator.reference.elementwise import (
    run_product,
    run_quotient,
    run_rectify,
    run_sum,
    run_table,
)
from search.simulator.reference.values import Values
from search.simulator.rescale import Rescale, Rounding

ROUNDINGS = st.sampled_from(["half_up", "half_even", "half_away"])
MULTIPLIERS = st.integers(0, 2**15 - 1)
SHIFTS = st.integers(0, 31)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    bits, signed = draw(st.sampled_from([8, 16])), draw(st.booleans())
    limits = np.iinfo(f"{'' if signed else 'u'}int{bits}")
    zero_point = draw(st.one_of(st.just(0), st.integers(int(limits.min), int(limits.max))))
    return Grid(scale=0.5, zero_point=zero_point, bits=bits, signed=signed)


def integers(draw: st.DrawFn, grid: Grid) -> int:
    return draw(st.one_of(st.integers(grid.qmin, grid.qmax), st.sampled_from([grid.qmin, grid.qmax, grid.zero_point])))


def rounded(value: Fraction, rounding: Rounding) -> int:
    if rounding == "half_even":
        return round(value)
    up = math.floor(value + Fraction(1, 2))
    return up if rounding == "half_up" or value >= 0 else -math.floor(-value + Fraction(1, 2))


def held(value: int, grid: Grid) -> int:
    return min(max(value + grid.zero_point, grid.qmin), grid.qmax)


def rescale(multiplier: int, shift: int) -> Rescale:
    return Rescale(np.asarray(multiplier), np.asarray(shift))


@given(data=st.data(), grid=grids(), out=grids(), multiplier=MULTIPLIERS, shift=SHIFTS, rounding=ROUNDINGS)
def test_a_cast_to_another_grid(
    data: st.DataObject, grid: Grid, out: Grid, multiplier: int, shift: int, rounding: Rounding
) -> None:
    x = integers(data.draw, grid)
    values = values_of({"x": (np.array([x]), grid)}, {"y": out}, rounding)
    got = run_requantize(Requantize(name="n", output="y", input="x", rescale=rescale(multiplier, shift)), values)
    exact = Fraction((x - grid.zero_point) * multiplier, 2**shift)
    assert got.tolist() == [held(rounded(exact, rounding), out)]


@given(data=st.data(), first=grids(), second=grids(), out=grids(), shift=SHIFTS, rounding=ROUNDINGS)
def test_a_sum_is_rounded_once(
    data: st.DataObject, first: Grid, second: Grid, out: Grid, shift: int, rounding: Rounding
) -> None:
    a, b, fixed = integers(data.draw, first), integers(data.draw, second), data.draw(st.integers(-(2**15), 2**15))
    multipliers = data.draw(st.tuples(MULTIPLIERS, MULTIPLIERS, MULTIPLIERS))
    signs = data.draw(st.tuples(*[st.sampled_from([1, -1])] * 3))
    constant = data.draw(st.integers(-(2**40), 2**40))
    step = Sum(
        name="n",
        output="y",
        operands=("a", "b", Fixed(np.array([fixed]))),
        signs=signs,
        multipliers=multipliers,
        shift=shift,
        constant=constant,
    )
    got = run_sum(step, values_of({"a": (np.array([a]), first), "b": (np.array([b]), second)}, {"y": out}, rounding))
    parts = (a - first.zero_point, b - second.zero_point, fixed)
    total = sum(s * x * m for s, x, m in zip(signs, parts, multipliers, strict=True)) + constant
    assert got.tolist() == [held(rounded(Fraction(total, 2**shift), rounding), out)]


@given(data=st.data(), first=grids(), second=grids(), out=grids(), multiplier=MULTIPLIERS, shift=SHIFTS)
def test_a_product_of_two_values(
    data: st.DataObject, first: Grid, second: Grid, out: Grid, multiplier: int, shift: int
) -> None:
    a, b, sign = integers(data.draw, first), integers(data.draw, second), data.draw(st.sampled_from([1, -1]))
    rounding = data.draw(ROUNDINGS)
    values = values_of({"a": (np.array([a]), first), "b": (np.array([b]), second)}, {"y": out}, rounding)
    step = Product(name="n", output="y", a="a", b="b", sign=sign, rescale=rescale(multiplier, shift))
    exact = Fraction(sign * (a - first.zero_point) * (b - second.zero_point) * multiplier, 2**shift)
    assert run_product(step, values).tolist() == [held(rounded(exact, rounding), out)]


@given(first=grids(), second=grids(), out=grids(), multiplier=MULTIPLIERS, shift=SHIFTS, rounding=ROUNDINGS)
def test_zero_stays_exactly_zero_through_every_linear_step(
    first: Grid, second: Grid, out: Grid, multiplier: int, shift: int, rounding: Rounding
) -> None:
    def fresh() -> Values:
        zeros = {"a": (np.array([first.zero_point]), first), "b": (np.array([second.zero_point]), second)}
        return values_of(zeros, {"y": out}, rounding)

    r = rescale(multiplier, shift)
    total = Sum(name="n", output="y", operands=("a", "b"), signs=(1, -1), multipliers=(multiplier, 7), shift=shift)
    slope = Rectify(name="n", output="y", input="a", positive=r, negative=r, negative_sign=np.asarray(-1))
    assert run_requantize(Requantize(name="n", output="y", input="a", rescale=r), fresh()) == out.zero_point
    assert run_sum(total, fresh()) == out.zero_point
    assert run_product(Product(name="n", output="y", a="a", b="b", sign=-1, rescale=r), fresh()) == out.zero_point
    assert run_quotient(Quotient(name="n", output="y", a="a", b="b", rescale=r), fresh()) == out.zero_point
    assert run_rectify(slope, fresh()) == out.zero_point


def test_a_product_with_a_folded_factor_has_one_operand() -> None:
    step = Product(name="n", output="y", a="a", b=None, sign=-1, rescale=rescale(3, 1))
    values = values_of({"a": (np.array([-4, 0, 3, 127]), INT8)}, {"y": INT8})
    assert run_product(step, values).tolist() == [6, 0, -4, -128]


@given(data=st.data(), first=grids(), second=grids(), out=grids(), multiplier=MULTIPLIERS, shift=SHIFTS)
def test_a_quotient_is_rounded_at_the_division_then_at_the_shift(
    data: st.DataObject, first: Grid, second: Grid, out: Grid, multiplier: int, shift: int
) -> None:
    a, b = integers(data.draw, first), integers(data.draw, second)
    rounding = data.draw(ROUNDINGS)
    values = values_of({"a": (np.array([a]), first), "b": (np.array([b]), second)}, {"y": out}, rounding)
    step = Quotient(name="n", output="y", a="a", b="b", rescale=rescale(multiplier, shift))
    top, bottom = a - first.zero_point, b - second.zero_point
    if bottom == 0:
        expected = held(int(math.copysign(2**20, top)) if top else 0, out)
    else:
        t = math.floor(Fraction(top * multiplier, bottom) + Fraction(1, 2))
        expected = held(rounded(Fraction(t, 2**shift), rounding), out)
    assert run_quotient(step, values).tolist() == [expected]


def test_relu_keeps_the_zero_point() -> None:
    grid = uint8(100)
    step = Rectify(name="n", output="y", input="x", positive=ONE, negative=None, negative_sign=np.asarray(1))
    values = values_of({"x": (np.array([0, 99, 100, 101, 255]), grid)}, {"y": grid})
    assert run_rectify(step, values).tolist() == [100, 100, 100, 101, 255]


def test_clip_bounds_are_on_the_grid_of_the_output() -> None:
    step = Rectify(
        name="n", output="y", input="x", positive=ONE, negative=ONE, negative_sign=np.asarray(1), low=-3, high=20
    )
    values = values_of({"x": (np.array([-128, -3, 0, 20, 21, 127]), INT8)}, {"y": INT8})
    assert run_rectify(step, values).tolist() == [-3, -3, 0, 20, 20, 20]


@given(x=st.integers(-128, 127), slopes=st.tuples(MULTIPLIERS, MULTIPLIERS), rounding=ROUNDINGS)
def test_a_slope_per_channel_may_have_its_own_sign(x: int, slopes: tuple[int, int], rounding: Rounding) -> None:
    step = Rectify(
        name="n",
        output="y",
        input="x",
        positive=ONE,
        negative=Rescale(np.array(slopes), np.array([15, 16])),
        negative_sign=np.array([1, -1]),
        axis=1,
    )
    values = values_of({"x": (np.full((1, 2, 3), x), INT8)}, {"y": INT8}, rounding)
    below = [
        rounded(Fraction(sign * x * slope, 2**shift), rounding)
        for sign, slope, shift in zip((1, -1), slopes, (15, 16), strict=True)
    ]
    expected = [x, x] if x >= 0 else [held(y, INT8) for y in below]
    assert run_rectify(step, values)[0, :, 0].tolist() == expected


def test_a_direct_table_is_read_from_the_lowest_integer_on() -> None:
    entries = np.arange(256) * 3 - 300
    values = values_of({"x": (np.array([-128, 0, 127]), INT8)}, {"y": INT16})
    step = Table(name="n", output="y", input="x", entries=entries, segment_bits=0, fraction_bits=0)
    assert run_table(step, values).tolist() == [-300, 84, 465]


@given(
    q=st.integers(-(2**15), 2**15 - 1), fraction=st.sampled_from([0, 8]), rounding=ROUNDINGS, seed=st.integers(0, 99)
)
def test_a_16_bit_table_is_a_straight_line_between_two_entries(
    q: int, fraction: int, rounding: Rounding, seed: int
) -> None:
    entries = np.random.default_rng(seed).integers(-(2**15), 2**15, 1025)
    out = INT8 if fraction else INT16
    values = values_of({"x": (np.array([q]), INT16)}, {"y": out}, rounding)
    step = Table(name="n", output="y", input="x", entries=entries, segment_bits=6, fraction_bits=fraction)
    segment, inside = divmod(q + 2**15, 64)
    left, right = int(entries[segment]), int(entries[segment + 1])
    line = (left + (right - left) * Fraction(inside, 64)) / 2**fraction
    assert run_table(step, values).tolist() == [held(rounded(line, rounding), out)]


def test_an_operand_that_is_missing_is_named() -> None:
    step = Product(name="n", output="y", a="gone", b=None, sign=1, rescale=ONE)
    with pytest.raises(ValueError, match="No step before this one makes the value 'gone'"):
        run_product(step, values_of({}, {"y": INT8}))
