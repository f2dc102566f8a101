"""Steps that take integers at the same place: the fast way against the reference, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fast_equal import ROUNDINGS, Array, assert_equal_bits, check, grids, integers, program, rescales, signed
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from search.quant.grid import Grid
from search.simulator.fast.build import build
from search.simulator.program import (
    Dequantize,
    Fixed,
    Product,
    Quantize,
    Quotient,
    Rectify,
    Requantize,
    Rescale,
    RoundHalf,
    Sum,
    Table,
)
from search.simulator.rescale import Rounding

FEW = settings(max_examples=60, deadline=None)
roundings = st.sampled_from(ROUNDINGS)
SHAPE = (2, 3, 5)


def every_integer(grid: Grid) -> Array:
    return np.arange(grid.qmin, grid.qmax + 1)


@FEW
@given(st.data())
def test_every_integer_is_requantized_alike(data: st.DataObject) -> None:
    grid, to = data.draw(grids()), data.draw(grids())
    bits = data.draw(st.sampled_from([15, 24]))
    rescale = data.draw(rescales(float(grid.qmax - grid.qmin), to, bits=bits))
    step = Requantize(name="node", output="y", input="x", rescale=rescale)
    check([step], {"x": grid, "y": to}, {"x": every_integer(grid)}, rounding=data.draw(roundings))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("shift", [0, 1, 8, 14, 15, 20, 34, 35, 40, 47])
@pytest.mark.parametrize("bits", [8, 16])
def test_ties_go_where_the_chip_sends_them(rounding: Rounding, shift: int, bits: int) -> None:
    for multiplier in (1, 1 << 14, 3 << 13, (1 << 15) - 1):
        rescale = Rescale(np.asarray(multiplier), np.asarray(shift))
        step = Requantize(name="node", output="y", input="x", rescale=rescale)
        check([step], {"x": signed(16), "y": signed(bits)}, {"x": every_integer(signed(16))}, rounding=rounding)


@FEW
@given(st.data())
def test_sums_are_equal(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3))
    to, shift = data.draw(grids()), data.draw(st.integers(0, 30))
    all_grids: dict[str, Grid] = {"y": to}
    fed: dict[str, Array] = {}
    operands: list[Any] = []
    for i in range(n):
        grid = data.draw(grids(bits=data.draw(st.sampled_from([(8,), (8, 16)]))))
        values = data.draw(integers(grid, SHAPE if i == 0 else data.draw(st.sampled_from([SHAPE, (3, 1), ()]))))
        if i and data.draw(st.booleans()):
            operands.append(Fixed(values - grid.zero_point))
        else:
            operands.append(f"x{i}")
            all_grids[f"x{i}"], fed[f"x{i}"] = grid, values
    step = Sum(
        name="node",
        output="y",
        operands=tuple(operands),
        signs=tuple(data.draw(st.sampled_from([1, -1])) for _ in range(n)),
        multipliers=tuple(data.draw(st.sampled_from([0, 1, 1 << 14, 20_001, (1 << 15) - 1])) for _ in range(n)),
        shift=shift,
        constant=data.draw(st.one_of(st.just(0), st.integers(-(2**36), 2**36))),
    )
    check([step], all_grids, fed, rounding=data.draw(roundings))


@FEW
@given(st.data())
def test_products_are_equal(data: st.DataObject) -> None:
    a, b, to = data.draw(grids()), data.draw(grids()), data.draw(grids())
    fed = {"a": data.draw(integers(a, SHAPE))}
    all_grids = {"a": a, "y": to}
    other: Any = None
    kind = data.draw(st.sampled_from(["value", "constant", "factor"]))
    if kind == "constant":
        other = Fixed(data.draw(integers(b, (3, 1))) - b.zero_point)
    elif kind == "value":
        other = "b"
        all_grids["b"], fed["b"] = b, data.draw(integers(b, (2, 1, 5)))
    largest = 2.0**a.bits * (1.0 if kind == "factor" else 2.0**b.bits)
    sign = data.draw(st.sampled_from([1, -1]))
    step = Product(name="node", output="y", a="a", b=other, sign=sign, rescale=data.draw(rescales(largest, to)))
    check([step], all_grids, fed, rounding=data.draw(roundings))


@FEW
@given(st.data())
def test_quotients_are_equal_also_by_zero(data: st.DataObject) -> None:
    a, b, to = data.draw(grids()), data.draw(grids()), data.draw(grids())
    fed = {"a": data.draw(integers(a, SHAPE)), "b": data.draw(integers(b, SHAPE))}
    all_grids = {"a": a, "b": b, "y": to}
    other: Any = "b"
    if data.draw(st.booleans()):
        other = Fixed(fed.pop("b") - b.zero_point)
        del all_grids["b"]
    rescale = Rescale(
        np.asarray(data.draw(st.sampled_from([1 << 14, 23_456, (1 << 15) - 1]))),
        np.asarray(data.draw(st.integers(0, 30))),
    )
    step = Quotient(name="node", output="y", a="a", b=other, rescale=rescale)
    check([step], all_grids, fed, rounding=data.draw(roundings))


@FEW
@given(st.data())
def test_rectifiers_are_equal(data: st.DataObject) -> None:
    grid, to = data.draw(grids()), data.draw(grids())
    largest = float(grid.qmax - grid.qmin)
    shape = data.draw(st.sampled_from([None, (), (3,), (3, 5)]))
    sign = st.sampled_from([np.asarray(1), np.asarray(-1)])
    step = Rectify(
        name="node",
        output="y",
        input="x",
        positive=data.draw(rescales(largest, to)),
        negative=None if shape is None else data.draw(rescales(largest, to, shape)),
        negative_sign=np.array([1, -1, 1]) if shape == (3,) else data.draw(sign),
        axis=data.draw(st.sampled_from([1, -2])) if shape == (3,) else None,
        low=data.draw(st.sampled_from([None, 0, -20, 300, -40_000])),
        high=data.draw(st.sampled_from([None, 25, 127, 40_000])),
    )
    fed = {"x": data.draw(integers(grid, SHAPE))}
    check([step], {"x": grid, "y": to}, fed, rounding=data.draw(roundings))


@FEW
@given(st.data())
def test_tables_are_equal_for_every_integer(data: st.DataObject) -> None:
    grid, to = data.draw(grids()), data.draw(grids())
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    segment_bits = 0 if grid.bits == 8 else 6
    n_entries = 256 if grid.bits == 8 else 1025
    step = Table(
        name="node",
        output="y",
        input="x",
        entries=rng.integers(-(2**15), 2**15, n_entries),
        segment_bits=segment_bits,
        fraction_bits=data.draw(st.sampled_from([0, 8])),
    )
    fed = {"x": every_integer(grid).reshape(2, -1)}
    check([step], {"x": grid, "y": to}, fed, rounding=data.draw(roundings))


def test_floats_are_quantized_dequantized_and_halved_alike() -> None:
    grid = Grid(scale=float(np.float32(0.1)), zero_point=100, bits=8, signed=False)
    steps = [
        Quantize(name="in", output="q", input="r"),
        Dequantize(name="out", output="real", input="q"),
        RoundHalf(name="half", output="h", input="r"),
        RoundHalf(name="half", output="k", input="r", prescale=5),
    ]
    given_input = (helper.make_tensor_value_info("r", TensorProto.FLOAT, [None]),)
    made = replace(program(steps, {"q": grid}, {}, outputs=("real", "h", "k")), inputs=given_input)
    floats = [0.0, -0.0, 0.05, 0.15, -0.25, 1e-8, 6e-8, 65519.9, 65520.0, 2e6, 2.1e6, 1e38, -1e38, np.inf, -np.inf]
    assert_equal_bits(made, {"r": np.asarray([*floats, np.nan], np.float32)})


def test_a_sum_too_long_to_be_exact_is_refused() -> None:
    step = Sum(name="long", output="y", operands=("x",), signs=(1,), multipliers=(1 << 40,), shift=0)
    made = program([step], {"x": signed(16), "y": signed(16)}, {"x": np.zeros(1)})
    with pytest.raises(ValueError, match=r"long: sums up to 36028797018963968 are not exact"):
        build(made)
