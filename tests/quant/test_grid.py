"""Grids against exact fractions, ONNX Runtime's operators and its quantizer's formulas."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.quant_utils import compute_scale_zp, get_qmin_qmax_for_qType

from search.quant.grid import (
    Grid,
    ScaleRule,
    dequantize,
    fake_quantize,
    grid_from_scale,
    grid_from_threshold,
    grid_parameters,
    make_grid,
    quantize,
    quantize_bias,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
MODERATE = st.floats(min_value=-(2.0**40), max_value=2.0**40, width=32)
BITS = st.sampled_from([8, 16])
RULES = st.sampled_from(list(ScaleRule))
ONNX_TYPES = {
    "int8": TensorProto.INT8,
    "uint8": TensorProto.UINT8,
    "int16": TensorProto.INT16,
    "uint16": TensorProto.UINT16,
}


def ranges(ends: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair)))


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    low, high = draw(ranges(MODERATE))
    return make_grid(low, high, bits=draw(BITS), rule=draw(RULES))


def runtime_session(grid: Grid, operator: str) -> ort.InferenceSession:
    quantized = ONNX_TYPES[grid.dtype.name]
    source, target = (TensorProto.FLOAT, quantized) if operator == "QuantizeLinear" else (quantized, TensorProto.FLOAT)
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "scale", "zero_point"], ["y"])],
        "one",
        [helper.make_tensor_value_info("x", source, [None])],
        [helper.make_tensor_value_info("y", target, [None])],
        [
            numpy_helper.from_array(np.array(grid.scale, np.float32), "scale"),
            numpy_helper.from_array(np.array(grid.zero_point, grid.dtype), "zero_point"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


ORACLE_GRIDS = [
    make_grid(low, high, bits=bits, rule=rule)
    for low, high in ((-1.0, 1.0), (-0.3, 7.1), (-5.0, -1.0), (0.0, 6.0))
    for bits in (8, 16)
    for rule in ScaleRule
] + [grid_from_scale(0.5, zero_point, bits, False) for bits, zero_point in ((8, 128), (16, 32768))]


@pytest.mark.parametrize("grid", ORACLE_GRIDS, ids=str)
def test_quantize_and_dequantize_equal_onnx_runtime(grid: Grid) -> None:
    rng = np.random.default_rng(7)
    steps = np.arange(-400, 400) * 0.5 * 2.0 ** (grid.bits - 8)
    ties = (steps * np.float64(grid.scale)).astype(np.float32)
    around = (rng.normal(size=4000) * grid.scale * 2.0 ** (grid.bits - 1)).astype(np.float32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-40, -1e-40], np.float32)
    x = np.concatenate([ties, np.nextafter(ties, np.float32(np.inf)), around, special])

    expected = runtime_session(grid, "QuantizeLinear").run(None, {"x": x})[0]
    got = quantize(x, grid)
    assert got.dtype == expected.dtype == grid.dtype
    np.testing.assert_array_equal(got, expected)
    back = runtime_session(grid, "DequantizeLinear").run(None, {"x": expected})[0]
    np.testing.assert_array_equal(dequantize(expected, grid).view(np.uint32), back.view(np.uint32))
    np.testing.assert_array_equal(fake_quantize(x, grid).view(np.uint32), back.view(np.uint32))


@given(n=st.integers(-300, 300), grid=grids().filter(lambda grid: grid.scale > 1e-30))
def test_ties_go_to_the_even_integer(n: int, grid: Grid) -> None:
    scale = 2.0 ** np.floor(np.log2(grid.scale))
    grid = grid_from_scale(scale, grid.zero_point, grid.bits, grid.signed)
    exact = round(Fraction(2 * n + 1, 2)) + grid.zero_point  # Python rounds a Fraction half to even
    got = quantize(np.array([(n + 0.5) * scale], np.float32), grid)
    assert int(got[0]) == max(grid.qmin, min(grid.qmax, exact))


@given(low_high=ranges(FLOATS), bits=BITS, rule=RULES)
def test_zero_is_exact_and_the_zero_point_is_on_the_grid(
    low_high: tuple[float, float], bits: int, rule: ScaleRule
) -> None:
    grid = make_grid(*low_high, bits=bits, rule=rule)
    assert grid.qmin <= grid.zero_point <= grid.qmax
    zero = np.zeros(1, np.float32)
    assert int(quantize(zero, grid)[0]) == grid.zero_point
    assert fake_quantize(zero, grid)[0] == 0.0
    assert float(np.float32(grid.scale)) == grid.scale > 0


@given(low_high=ranges(MODERATE), bits=BITS, rule=RULES, part=st.floats(0, 1))
def test_error_inside_the_range_is_at_most_half_a_step(
    low_high: tuple[float, float], bits: int, rule: ScaleRule, part: float
) -> None:
    low, high = min(low_high[0], 0.0), max(low_high[1], 0.0)
    grid = make_grid(low, high, bits=bits, rule=rule)
    x = np.float32(low + part * (high - low))
    image = float(fake_quantize(np.array([x]), grid)[0])
    float32_rounding = 2.0**-22 * max(abs(low), abs(high))
    assert abs(image - float(x)) <= grid.scale / 2 + float32_rounding


@given(low_high=ranges(MODERATE), bits=BITS)
def test_power_covers_both_ends_with_the_smallest_float32_scale(low_high: tuple[float, float], bits: int) -> None:
    low, high = low_high
    grid = make_grid(low, high, bits=bits, rule=ScaleRule.POWER)
    assert Fraction(grid.scale) * grid.qmax >= Fraction(high)
    assert Fraction(grid.scale) * grid.qmin <= Fraction(low)
    assert grid.zero_point == 0
    assert grid.signed
    smaller = Fraction(float(np.nextafter(np.float32(grid.scale), np.float32(0))))
    if grid.scale != 1.0:
        assert smaller * grid.qmax < Fraction(high) or smaller * grid.qmin > Fraction(low)


def test_power_divides_a_negative_threshold_by_a_power_of_two() -> None:
    grid = make_grid(-6.0, 1.0, bits=8, rule=ScaleRule.POWER)
    assert grid.scale == 6.0 / 128
    assert grid.threshold == 6.0
    assert (grid.low, grid.high) == (-6.0, 6.0 * 127 / 128)


@given(low_high=ranges(FLOATS), bits=BITS, symmetric=st.booleans())
def test_onnx_runtime_rules_are_bit_equal_to_its_quantizer(
    low_high: tuple[float, float], bits: int, symmetric: bool
) -> None:
    rule = ScaleRule.ORT_SYMMETRIC if symmetric else ScaleRule.ORT_ASYMMETRIC
    grid = make_grid(*low_high, bits=bits, rule=rule)
    qmin, qmax = get_qmin_qmax_for_qType(ONNX_TYPES[grid.dtype.name], symmetric=symmetric)
    ends = [np.array(end, np.float32) for end in low_high]
    zero_point, scale = compute_scale_zp(*ends, qmin, qmax, symmetric)
    assert np.float32(grid.scale).tobytes() == np.asarray(scale, np.float32).tobytes()
    assert grid.zero_point == int(zero_point)


@pytest.mark.parametrize("rule", ScaleRule)
@pytest.mark.parametrize("end", [0.0, -0.0, 1e-45, 1e-39])
def test_an_empty_or_subnormal_range_gives_scale_one(rule: ScaleRule, end: float) -> None:
    grid = make_grid(0.0, end, bits=8, rule=rule)
    assert (grid.scale, grid.zero_point) == (1.0, 0)


def test_many_ranges_at_once_equal_one_by_one() -> None:
    rng = np.random.default_rng(3)
    lows, highs = np.sort(rng.normal(size=(50, 2)).astype(np.float32), axis=1).T
    for rule in ScaleRule:
        scales, zero_points = grid_parameters(lows, highs, bits=16, rule=rule)
        for i in range(50):
            grid = make_grid(float(lows[i]), float(highs[i]), bits=16, rule=rule)
            assert (grid.scale, grid.zero_point) == (float(scales[i]), int(zero_points[i]))


def test_a_fixed_threshold_sets_the_scale_as_horizon_does() -> None:
    assert grid_from_threshold(51.2, 16).scale == float(np.float32(51.2 / 32768))
    assert grid_from_threshold(4.0, 8) == Grid(4.0 / 128, 0, 8, True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grid_from_threshold(0.0, 8), r"above 0, got 0\.0"),
        (lambda: grid_from_threshold(float("nan"), 8), r"got nan"),
        (lambda: grid_from_scale(1e39, 0, 8, True), r"got 1e\+39"),
        (lambda: grid_from_scale(-1.0, 0, 8, True), r"above 0, got -1\.0"),
        (lambda: grid_from_scale(1.0, 200, 8, True), r"\[-128, 127\], got 200"),
        (lambda: Grid(0.1, 0, 8, True), r"exactly a float32 value, got 0\.1"),
        (lambda: Grid(1.0, 0, 4, True), r"8 or 16, got 4"),
        (lambda: make_grid(1.0, 0.0, bits=8, rule=ScaleRule.POWER), r"must not be above"),
        (lambda: make_grid(0.0, float("inf"), bits=8, rule=ScaleRule.POWER), r"finite float32"),
        (lambda: quantize(np.zeros(1), make_grid(0, 1, bits=8, rule=ScaleRule.POWER)), r"got float64"),
    ],
)
def test_wrong_arguments_are_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_shapes_are_kept_and_the_input_is_not_changed() -> None:
    grid = make_grid(-1.0, 1.0, bits=8, rule=ScaleRule.POWER)
    x = np.full((2, 3, 1), 0.7, np.float32)
    before = x.copy()
    assert quantize(x, grid).shape == fake_quantize(x, grid).shape == (2, 3, 1)
    np.testing.assert_array_equal(x, before)
    assert quantize(np.float32(0.7), grid).shape == ()  # type: ignore[arg-type]


@given(
    bias=st.lists(MODERATE, min_size=1, max_size=4),
    scale_x=st.floats(2.0**-20, 1.0, width=32),
    scale_w=st.floats(2.0**-20, 1.0, width=32),
)
@settings(max_examples=200)
def test_bias_equals_exact_rounding_and_reports_overflow(bias: list[float], scale_x: float, scale_w: float) -> None:
    values = np.array(bias, np.float32)
    got, overflowed = quantize_bias(values, scale_x, np.full(values.size, scale_w, np.float32))
    scale = Fraction(float(np.float32(scale_x) * np.float32(scale_w)))
    exact = [round(Fraction(float(np.float64(value) / float(scale)))) for value in values]
    assert got.dtype == np.int32
    assert got.tolist() == [max(-(2**31), min(2**31 - 1, value)) for value in exact]
    assert overflowed == any(not -(2**31) <= value < 2**31 for value in exact)


@pytest.mark.parametrize(
    ("bias", "scale_x", "scale_w"),
    [(1.0, 1e-30, 1e-30), (1.0, 1e30, 1e30), (np.nan, 1.0, 1.0), (np.inf, 1.0, 1.0), (2.0**31, 1.0, 1.0)],
)
def test_a_bias_that_cannot_be_an_int32_is_reported(bias: float, scale_x: float, scale_w: float) -> None:
    assert quantize_bias(np.array([bias], np.float32), scale_x, scale_w)[1]
