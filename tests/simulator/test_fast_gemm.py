"""Gemms of the fast way against the reference, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fast_equal import ROUNDINGS, Array, check, grids, integers, program, rescales, signed, weights
from hypothesis import given, settings
from hypothesis import strategies as st

from search.quant.grid import Grid
from search.simulator.fast.build import build
from search.simulator.fast.session import IntegerSession
from search.simulator.program import Dequantize, Fixed, Gemm, Overflow, Preload, Rescale, Window
from search.simulator.rescale import normalized

FEW = settings(max_examples=60, deadline=None)


def gemm(kind: str, b: Any, **changes: Any) -> Gemm:
    fields: dict[str, Any] = {
        "name": "node",
        "output": "y",
        "kind": kind,
        "a": "x",
        "b": Fixed(np.asarray(b, np.int64)) if isinstance(b, np.ndarray) else b,
        "bias": None,
        "preload": None,
        "low": None,
        "high": None,
        "rescale": None,
        "scales": np.asarray(0.125),
        "axis": -1 if kind == "matmul" else 1,
        "acc_bits": 48,
        "overflow": "error",
    }
    return Gemm(**{**fields, **changes})


@st.composite
def convolutions(draw: st.DrawFn) -> dict[str, Any]:
    """Everything a convolution can have, over integers of any grid."""
    rank, group = draw(st.sampled_from([1, 2, 2, 2, 3])), draw(st.sampled_from([1, 1, 2, 3]))
    kind = draw(st.sampled_from(["conv", "conv", "conv_transpose"]))
    bits, per_group = draw(st.sampled_from([8, 16])), draw(st.integers(1, 5))
    channels, m = group * draw(st.sampled_from([1, 2, 16 if rank < 3 else 3])), group * per_group
    small = st.integers(1, 3)
    window = Window(
        kernel=draw(st.tuples(*[small] * rank)),
        strides=draw(st.tuples(*[small] * rank)),
        pads=draw(st.tuples(*[st.integers(0, 2)] * (2 * rank))) if kind == "conv" else (0,) * (2 * rank),
        dilations=draw(st.tuples(*[st.integers(1, 2)] * rank)),
        group=group,
    )
    sizes = tuple(draw(st.integers((k - 1) * d + 1, 8)) for k, d in zip(window.kernel, window.dilations, strict=True))
    front = (m, channels // group) if kind == "conv" else (channels, per_group)
    grid, to = draw(grids()), draw(grids())
    values = draw(weights((*front, *window.kernel), bits))
    per_channel = draw(st.sampled_from([(), (m,)]))
    largest = float(np.abs(values).sum()) / m * 2.0**grid.bits
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    span = int(min(largest, 2**40)) + 1
    bias = draw(st.sampled_from([None, (), (m,)]))
    is_float = draw(st.integers(0, 4)) == 0
    return {
        "x": draw(integers(grid, (draw(st.integers(1, 2)), channels, *sizes))),
        "grid": grid,
        "to": to,
        "rounding": draw(st.sampled_from(ROUNDINGS)),
        "step": gemm(
            kind,
            values,
            window=window,
            bias=None if bias is None else rng.integers(-span, span, bias),
            low=draw(st.sampled_from([None, np.zeros((), np.int64), -rng.integers(0, span, per_channel)])),
            high=draw(st.sampled_from([None, rng.integers(0, span, per_channel)])),
            rescale=None if is_float else draw(rescales(largest, to, per_channel)),
            scales=np.asarray(2.0**-30 * 1.37, np.float64) * np.ones(per_channel),
            half=is_float and draw(st.booleans()),
        ),
    }


@FEW
@given(convolutions())
def test_convolutions_of_every_shape_are_equal(case: dict[str, Any]) -> None:
    step = case["step"]
    all_grids = {"x": case["grid"]} if step.rescale is None else {"x": case["grid"], "y": case["to"]}
    check([step], all_grids, {"x": case["x"]}, rounding=case["rounding"])


@pytest.mark.parametrize("x_bits", [8, 16])
@pytest.mark.parametrize("w_bits", [8, 16])
@pytest.mark.parametrize(
    ("channels", "m", "kernel", "group"),
    [(64, 32, 3, 1), (32, 32, 3, 32), (128, 48, 1, 1), (3, 16, 7, 1), (48, 96, 3, 3)],
)
def test_layers_of_real_size_are_equal_with_everything_saturated(
    x_bits: int, w_bits: int, channels: int, m: int, kernel: int, group: int
) -> None:
    rng = np.random.default_rng(channels + kernel)
    shape = (m, channels // group, kernel, kernel)
    end = 2 ** (w_bits - 1) - 1
    values = np.where(rng.random(shape) < 0.7, end, rng.integers(-end, end + 1, shape))
    window = Window((kernel, kernel), (1, 1), (kernel // 2,) * 4, (1, 1), group)
    largest = np.abs(values).reshape(m, -1).sum(axis=1) * 2.0 ** (x_bits - 1)
    bias = rng.integers(-(2**20), 2**20, m)
    for to_bits in (8, 16):
        rescale = normalized(2.0 ** (to_bits - 1) / largest * rng.uniform(0.7, 3.0, m), 15)
        step = gemm("conv", values, window=window, bias=bias, rescale=rescale)
        x = np.where(rng.random((1, channels, 9, 9)) < 0.9, 2 ** (x_bits - 1) - 1, -(2 ** (x_bits - 1)))
        check([step], {"x": signed(x_bits), "y": signed(to_bits)}, {"x": x})


@FEW
@given(st.data())
def test_a_summed_input_is_equal_also_shifted_left(data: st.DataObject) -> None:
    grid, more = data.draw(grids()), data.draw(grids())
    values = data.draw(weights((6, 4, 3, 3), data.draw(st.sampled_from([8, 16]))))
    window = Window((3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    factors = np.exp2(rng.uniform(-20, 14, data.draw(st.sampled_from([(), (6,)]))))
    made = normalized(factors, 15)
    preload = Preload(input="z", rescale=made)
    to = data.draw(grids())
    largest = 128.0 * 36 * 2.0**grid.bits
    rescale = data.draw(rescales(largest, to, (6,)))
    lift = data.draw(st.sampled_from([0, 0, 1, 5, 11]))
    step = gemm("conv", values, window=window, preload=preload, rescale=rescale, lift=lift)
    fed = {"x": data.draw(integers(grid, (2, 4, 5, 5))), "z": data.draw(integers(more, (2, 6, 5, 5)))}
    rounding = data.draw(st.sampled_from(ROUNDINGS))
    check([step], {"x": grid, "z": more, "y": to}, fed, rounding=rounding)


@FEW
@given(st.data())
def test_matrix_products_are_equal(data: st.DataObject) -> None:
    n, k, m = data.draw(st.tuples(*[st.integers(1, 9)] * 3))
    grid, other, to = data.draw(grids()), data.draw(grids()), data.draw(grids())
    side = data.draw(st.sampled_from(["left", "right", "none"]))
    turned = {"trans_a": data.draw(st.booleans()), "trans_b": data.draw(st.booleans())}
    a_shape, b_shape = (k, n) if turned["trans_a"] else (n, k), (m, k) if turned["trans_b"] else (k, m)
    bits = data.draw(st.sampled_from([8, 16]))
    fed: dict[str, Array] = {}
    all_grids: dict[str, Grid] = {"y": to}
    operands: dict[str, Any] = {}
    for name, shape, is_constant in (("a", a_shape, side == "left"), ("b", b_shape, side == "right")):
        if is_constant:
            operands[name] = Fixed(data.draw(weights(shape, bits)))
        else:
            operands[name] = name
            all_grids[name] = grid if name == "a" else other
            fed[name] = data.draw(integers(all_grids[name], (2, *shape)))
    axis = -2 if side == "left" else -1
    channels = (n,) if side == "left" else (m,)
    largest = k * 2.0 ** (bits + 14)
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    bias = data.draw(st.sampled_from([None, rng.integers(-999, 999, channels), rng.integers(-999, 999, (1, n, m))]))
    step = gemm(
        "matmul",
        operands["b"],
        a=operands["a"],
        axis=axis,
        bias=bias,
        rescale=data.draw(rescales(largest, to, data.draw(st.sampled_from([(), channels])))),
        depth=data.draw(st.sampled_from([None, k])),
        **turned,
    )
    check([step], all_grids, fed, rounding=data.draw(st.sampled_from(ROUNDINGS)))


@FEW
@given(st.data())
def test_an_accumulator_that_leaves_its_width_is_treated_alike(data: st.DataObject) -> None:
    grid = data.draw(grids())
    kind = data.draw(st.sampled_from(["conv", "matmul"]))
    shape = (4, 3, 2, 2) if kind == "conv" else (3, 4)
    values = data.draw(weights(shape, 16))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    x = data.draw(integers(grid, (2, 3, 4, 4) if kind == "conv" else (2, 3)))
    step = gemm(
        kind,
        values,
        window=Window((2, 2), (1, 1), (0, 0, 0, 0), (1, 1)) if kind == "conv" else None,
        bias=data.draw(st.sampled_from([None, rng.integers(-(2**24), 2**24, 4)])),
        lift=data.draw(st.sampled_from([0, 0, 3])),
        acc_bits=data.draw(st.integers(16, 32)),
        overflow=data.draw(st.sampled_from(["error", "wrap", "saturate"])),
        rescale=data.draw(rescales(2.0**30, signed(8), (4,))),
        low=data.draw(st.sampled_from([None, np.zeros((), np.int64)])),
    )
    steps = [step, Dequantize(name="out", output="real", input="y")]
    check(steps, {"x": grid, "y": signed(8)}, {"x": x}, outputs=("real",))


def overflowing() -> Any:
    step = gemm("matmul", np.full((4, 2), 100), acc_bits=16, rescale=Rescale(np.asarray(1 << 14), np.asarray(20)))
    steps = [step, Dequantize(name="out", output="real", input="y")]
    fed = {"x": np.zeros((1, 4), np.int64)}
    return program(steps, {"x": signed(8), "y": signed(8)}, fed, outputs=("real",))


def test_a_session_remembers_the_largest_overflow_until_it_is_cleared() -> None:
    session = IntegerSession(overflowing())
    assert session.outputs == ("real",)
    for value in (0, 100, 90):
        session.run({"x_float": np.full((1, 4), value, np.float32)})
    assert session.overflows == (Overflow(node="node", largest=40_000, bits=16),)
    session.clear()
    assert session.overflows == ()
    session.run({"x_float": np.full((1, 4), 81, np.float32)})
    assert session.overflows == ()  # 32400
    session.run({"x_float": np.full((1, 4), -82, np.float32)}, ["real"])
    assert session.overflows == (Overflow(node="node", largest=32_800, bits=16),)
    assert session.run({"x_float": np.zeros((1, 4), np.float32)}, ()) == {}


def test_nothing_is_watched_where_the_weights_say_that_nothing_can_happen() -> None:
    assert len(build(overflowing()).watched) == 1
    step = gemm("matmul", np.full((4, 2), 63), acc_bits=16, rescale=Rescale(np.asarray(1 << 14), np.asarray(20)))
    fed = {"x": np.zeros((1, 4), np.int64)}
    assert build(program([step], {"x": signed(8), "y": signed(8)}, fed)).watched == ()
