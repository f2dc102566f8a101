"""Integer convolutions and products: sums equal ONNX Runtime's integer operators, results lie within a step of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_step import INT8, INT16, ONE, values_of
from onnx import TensorProto, helper

from search.quant.fp16 import round_fp16
from search.quant.grid import Grid
from search.simulator.program import Fixed, Gemm, Overflow, Preload, Window
from search.simulator.reference.gemm import run_gemm, sums
from search.simulator.rescale import Rescale, normalized

Array = npt.NDArray[Any]


def onnx_run(op: str, feeds: dict[str, Array], result: int = TensorProto.FLOAT, **attributes: Any) -> Array:
    graph = helper.make_graph(
        [helper.make_node(op, list(feeds), ["y"], **attributes)],
        "one",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in feeds.items()
        ],
        [helper.make_tensor_value_info("y", result, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


def gemm(kind: str, weights: Array, **changes: Any) -> Gemm:
    settings_: dict[str, Any] = {
        "name": "node",
        "output": "y",
        "kind": kind,
        "a": "x",
        "b": Fixed(np.asarray(weights, np.int64)),
        "bias": None,
        "preload": None,
        "low": None,
        "high": None,
        "rescale": None,
        "scales": np.asarray(1.0),
        "axis": 1 if kind != "matmul" else -1,
        "acc_bits": 32,
        "overflow": "error",
    }
    return Gemm(**{**settings_, **changes})


@st.composite
def windows(draw: st.DrawFn, rank: int, group: int) -> Window:
    sizes = [st.integers(1, 3)] * rank
    return Window(
        kernel=draw(st.tuples(*sizes)),
        strides=draw(st.tuples(*sizes)),
        pads=draw(st.tuples(*[st.integers(0, 2)] * (2 * rank))),
        dilations=draw(st.tuples(*[st.integers(1, 2)] * rank)),
        group=group,
    )


def attributes(window: Window) -> dict[str, Any]:
    return {
        "kernel_shape": window.kernel,
        "strides": window.strides,
        "pads": window.pads,
        "dilations": window.dilations,
        "group": window.group,
    }


def integers(rng: np.random.Generator, dtype: Any, shape: tuple[int, ...], *, saturated: bool = False) -> Array:
    limits = np.iinfo(dtype)
    if saturated:
        return rng.choice(np.array([limits.min, limits.max], dtype), shape)
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), seed=st.integers(0, 2**32), saturated=st.booleans())
def test_convolution_sums_equal_conv_integer(data: st.DataObject, seed: int, saturated: bool) -> None:
    rng = np.random.default_rng(seed)
    group = data.draw(st.integers(1, 3))
    window = data.draw(windows(2, group))
    x = integers(rng, np.uint8, (2, 2 * group, 7, 8), saturated=saturated)
    w = integers(rng, np.uint8, (3 * group, 2, *window.kernel), saturated=saturated)
    x_zero, w_zero = (np.uint8(data.draw(st.integers(0, 255))) for _ in range(2))
    feeds = {"x": x, "w": w, "xz": np.asarray(x_zero), "wz": np.asarray(w_zero)}
    expected = onnx_run("ConvInteger", feeds, TensorProto.INT32, **attributes(window))
    grid = Grid(scale=0.5, zero_point=int(x_zero), bits=8, signed=False)
    got = sums(gemm("conv", w.astype(np.int64) - int(w_zero), window=window), values_of({"x": (x, grid)}, {}))
    np.testing.assert_array_equal(got, expected)


@settings(deadline=None, max_examples=60)
@given(
    batch=st.lists(st.integers(1, 3), max_size=2),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 40), st.integers(1, 5)),
    zeros=st.tuples(st.integers(0, 255), st.integers(-128, 127)),
    seed=st.integers(0, 2**32),
)
def test_matrix_sums_equal_mat_mul_integer(
    batch: list[int], sizes: tuple[int, int, int], zeros: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    m, k, n = sizes
    # weights of 7 bit: on processors without an exact 8 bit dot product the runtime's own sums saturate
    x = integers(rng, np.uint8, (*batch, m, k))
    w = rng.integers(-64, 64, (k, n)).astype(np.int8)
    feeds = {"x": x, "w": w, "xz": np.array(zeros[0], np.uint8), "wz": np.array(zeros[1] // 2, np.int8)}
    expected = onnx_run("MatMulInteger", feeds, TensorProto.INT32)
    grid = Grid(scale=0.5, zero_point=zeros[0], bits=8, signed=False)
    got = sums(gemm("matmul", w.astype(np.int64) - zeros[1] // 2), values_of({"x": (x, grid)}, {}))
    np.testing.assert_array_equal(got, expected)


@settings(deadline=None, max_examples=50)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_transposed_convolution_sums_equal_the_float_operator_on_integers(data: st.DataObject, seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = data.draw(st.integers(1, 2))
    window = data.draw(windows(2, group))
    extra = tuple(data.draw(st.integers(0, stride - 1)) for stride in window.strides)
    pads = tuple(min(pad, 1) for pad in window.pads)
    window = Window(window.kernel, window.strides, pads, window.dilations, group, extra)
    x = rng.integers(-128, 128, (2, 2 * group, 4, 5))
    w = rng.integers(-128, 128, (2 * group, 3, *window.kernel))
    feeds = {"x": x.astype(np.float32), "w": w.astype(np.float32)}
    expected = onnx_run("ConvTranspose", feeds, output_padding=extra, **attributes(window))
    got = sums(gemm("conv_transpose", w, window=window), values_of({"x": (x, INT8)}, {}))
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("rank", [1, 3])
def test_convolutions_of_any_rank(rank: int) -> None:
    rng = np.random.default_rng(rank)
    window = Window((2,) * rank, (1,) * rank, (1,) * (2 * rank), (1,) * rank)
    x, w = rng.integers(-128, 128, (1, 2, *(4,) * rank)), rng.integers(-128, 128, (3, 2, *(2,) * rank))
    feeds = {"x": x.astype(np.float32), "w": w.astype(np.float32)}
    got = sums(gemm("conv", w, window=window), values_of({"x": (x, INT8)}, {}))
    np.testing.assert_array_equal(got, onnx_run("Conv", feeds, **attributes(window)))


@pytest.mark.parametrize(("trans_a", "trans_b"), [(False, False), (True, False), (False, True), (True, True)])
def test_matrices_of_two_values_can_be_transposed(trans_a: bool, trans_b: bool) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(-(2**15), 2**15, (2, 3, 4)), rng.integers(-(2**15), 2**15, (2, 4, 5))
    fed = {
        "x": (np.swapaxes(a, -1, -2) if trans_a else a, INT16),
        "w": (np.swapaxes(b, -1, -2) if trans_b else b, INT16),
    }
    got = sums(gemm("matmul", b, b="w", trans_a=trans_a, trans_b=trans_b), values_of(fed, {}))
    slow = [
        [[sum(int(p) * int(q) for p, q in zip(i, j, strict=True)) for j in y.T] for i in x]
        for x, y in zip(a, b, strict=True)
    ]
    assert got.tolist() == slow


@pytest.mark.parametrize("ends", [(-(2**15), -(2**15)), (-(2**15), 2**15 - 1), (2**15 - 1, 2**15 - 1)])
def test_the_largest_16_by_16_sums_are_exact(ends: tuple[int, int]) -> None:
    k = 4096
    x, w = np.full((1, k, 1), ends[0]), np.full((1, k, 1), ends[1])
    window = Window((1,), (1,), (0, 0), (1,))
    assert sums(gemm("conv", w, window=window), values_of({"x": (x, INT16)}, {})).item() == k * ends[0] * ends[1]


# -- requantized results: QLinearConv multiplies by one float32 and rounds ties to even


def qlinear_bound(bits: int) -> int:
    """How many steps a result may differ: docs/numerics.md#against-onnx-runtime."""
    return 1 if bits == 8 else 2


@settings(deadline=None, max_examples=50)
@given(
    data=st.data(),
    seed=st.integers(0, 2**32),
    scale=st.floats(2.0**-14, 2.0**-6),
    zeros=st.tuples(*[st.integers(0, 255)] * 2),
)
def test_a_requantized_convolution_lies_within_one_step_of_qlinear_conv(
    data: st.DataObject, seed: int, scale: float, zeros: tuple[int, int]
) -> None:
    rng = np.random.default_rng(seed)
    window = data.draw(windows(2, 1))
    x, w = integers(rng, np.uint8, (1, 3, 7, 8)), rng.integers(-64, 64, (4, 3, *window.kernel)).astype(np.int8)
    bias = rng.integers(-20000, 20000, 4).astype(np.int32)
    x_scale, y_scale = np.float32(scale), np.float32(1.0)
    w_scales = rng.uniform(0.5, 2.0, 4).astype(np.float32)
    feeds = {
        "x": x,
        "xs": np.asarray(x_scale),
        "xz": np.array(zeros[0], np.uint8),
        "w": w,
        "ws": w_scales,
        "wz": np.zeros(4, np.int8),
        "ys": np.asarray(y_scale),
        "yz": np.array(zeros[1], np.uint8),
        "b": bias,
    }
    expected = onnx_run("QLinearConv", feeds, TensorProto.UINT8, **attributes(window)).astype(int)
    factors = w_scales.astype(np.float64) * float(x_scale)
    x_grid = Grid(scale=float(x_scale), zero_point=zeros[0], bits=8, signed=False)
    y_grid = Grid(scale=1.0, zero_point=zeros[1], bits=8, signed=False)
    step = gemm("conv", w, window=window, bias=bias.astype(np.int64), rescale=normalized(factors, 15))
    values = values_of({"x": (x, x_grid)}, {"y": y_grid})
    got = run_gemm(step, values).astype(int)
    assert np.abs(got - expected).max() <= qlinear_bound(8)
    acc = sums(step, values) + bias.reshape(1, 4, 1, 1)
    real = acc * factors.reshape(1, 4, 1, 1)
    near_tie = np.abs(real - np.floor(real) - 0.5) <= np.abs(real) * 2.0**-14 + 1e-9
    differs = got != expected
    assert not np.any(differs & ~near_tie)  # only where the exact result is as good as a tie


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), scale=st.floats(2.0**-14, 2.0**-6), zero=st.integers(0, 255))
def test_a_requantized_product_lies_within_one_step_of_qlinear_mat_mul(seed: int, scale: float, zero: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = integers(rng, np.uint8, (3, 20)), rng.integers(-64, 64, (20, 5)).astype(np.int8)
    scales = [np.asarray(np.float32(s)) for s in (scale, 0.75, 1.0)]
    feeds = {
        "x": x,
        "xs": scales[0],
        "xz": np.array(zero, np.uint8),
        "w": w,
        "ws": scales[1],
        "wz": np.array(0, np.int8),
        "ys": scales[2],
        "yz": np.array(zero, np.uint8),
    }
    expected = onnx_run("QLinearMatMul", feeds, TensorProto.UINT8).astype(int)
    factor = float(scales[0]) * float(scales[1])
    x_grid = Grid(scale=float(scales[0]), zero_point=zero, bits=8, signed=False)
    y_grid = Grid(scale=1.0, zero_point=zero, bits=8, signed=False)
    step = gemm("matmul", w, rescale=normalized(factor, 15))
    got = run_gemm(step, values_of({"x": (x, x_grid)}, {"y": y_grid}))
    assert np.abs(got - expected).max() <= qlinear_bound(8)


@settings(deadline=None)
@given(acc=st.lists(st.integers(-(2**47), 2**47 - 1), min_size=1, max_size=8), factor=st.floats(2.0**-32, 2.0**-10))
def test_a_16_bit_result_lies_within_two_steps_of_the_real_one(acc: list[int], factor: float) -> None:
    """The multiplier is off by a 2**-15th at most, which is one step of the largest 16 bit result."""
    values = values_of({"x": (np.array(acc)[:, None], INT16)}, {"y": INT16})
    step = gemm("matmul", np.array([[1]]), rescale=normalized(factor, 15), acc_bits=48)
    got = run_gemm(step, values)[:, 0]
    real = np.clip(np.array(acc) * factor, -(2.0**15), 2.0**15 - 1)
    assert np.abs(got - real).max() <= 1.5 + 1e-6


# -- what is fused


def one_by_one(sums_in: list[int], **changes: Any) -> tuple[Array, list[Overflow]]:
    """Results of one gemm for sums of these values, and the overflows it reported."""
    values = values_of({"x": (np.array(sums_in)[:, None], INT16), "s": (np.array([[3]]), INT8)}, {"y": INT16})
    step = gemm("matmul", np.array([[1]]), **{"acc_bits": 48, **changes})
    return run_gemm(step, values)[:, 0], values.overflows


def test_bias_preload_and_bounds_come_in_this_order() -> None:
    got, _ = one_by_one(
        [0, 5, 100, -100],
        bias=np.array([10]),
        preload=Preload(input="s", rescale=Rescale(np.asarray(2), np.asarray(-1))),
        low=np.asarray(0),
        high=np.asarray(50),
        rescale=ONE,
    )
    assert got.tolist() == [22, 27, 50, 0]


def test_a_lift_shifts_sum_and_bias_before_the_summed_input_joins_them() -> None:
    got, overflows = one_by_one(
        [0, 5, -5],
        bias=np.array([10]),
        lift=3,
        preload=Preload(input="s", rescale=ONE),
        rescale=ONE,
        acc_bits=8,
    )
    assert got.tolist() == [83, 123, 43]
    assert overflows == []
    _, overflows = one_by_one([6], bias=np.array([10]), lift=3, rescale=ONE, acc_bits=8)
    assert [one.largest for one in overflows] == [128]


def test_padding_counts_as_zero_whatever_the_zero_point() -> None:
    grid = Grid(scale=1.0, zero_point=7, bits=8, signed=False)
    window = Window((3,), (1,), (1, 1), (1,))
    values = values_of({"x": (np.full((1, 1, 2), 7), grid)}, {})
    assert not sums(gemm("conv", np.full((1, 1, 3), 5), window=window), values).any()


def test_a_float_output_is_the_sum_times_its_scale() -> None:
    scale = float(np.float64(np.float32(0.1)) * np.float64(np.float32(0.3)))
    got, _ = one_by_one([12345, -7], scales=np.asarray(scale))
    assert got.dtype == np.float32
    assert got.tolist() == [np.float32(12345 * scale), np.float32(-7 * scale)]
    half, _ = one_by_one([12345, -7], scales=np.asarray(scale), half=True)
    np.testing.assert_array_equal(half, round_fp16(got))


def test_zero_times_anything_is_exactly_the_zero_point() -> None:
    grid = Grid(scale=0.0137939453125, zero_point=91, bits=8, signed=False)
    values = values_of({"x": (np.full((1, 4), 91), grid)}, {"y": grid})
    step = gemm("matmul", np.arange(8).reshape(4, 2), rescale=normalized([0.3, 0.7], 15))
    assert run_gemm(step, values).tolist() == [[91, 91]]


# -- overflow


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_that_leaves_the_accumulator_is_reported_and_kept_exact(sign: int) -> None:
    got, (found,) = one_by_one([sign * 40], acc_bits=6, rescale=ONE)
    assert got.tolist() == [sign * 40]
    assert (found.node, found.largest, found.bits) == ("node", 40, 6)


def test_the_last_sum_that_fits_is_not_reported() -> None:
    _, overflows = one_by_one([31, -31], acc_bits=6, rescale=ONE)
    assert not overflows


def test_a_sum_that_comes_back_after_the_bias_is_reported_all_the_same() -> None:
    _, overflows = one_by_one([40], acc_bits=6, bias=np.array([-30]), rescale=ONE)
    assert [found.largest for found in overflows] == [40]


@pytest.mark.parametrize(("overflow", "expected"), [("wrap", [-24, 24, 31]), ("saturate", [31, -32, 31])])
def test_a_chip_that_wraps_or_saturates_does_so_without_a_report(overflow: str, expected: list[int]) -> None:
    got, overflows = one_by_one([40, -40, 31], acc_bits=6, overflow=overflow, rescale=ONE)
    assert got.tolist() == expected
    assert not overflows


def test_huge_sums_saturate_instead_of_overflowing_the_product() -> None:
    values = values_of({"x": (np.array([[2**55], [-(2**55)]]), INT16)}, {"y": INT16})
    step = gemm("matmul", np.array([[1]]), acc_bits=48, rescale=Rescale(np.asarray(2**15 - 1), np.asarray(40)))
    assert run_gemm(step, values)[:, 0].tolist() == [2**15 - 1, -(2**15)]
    assert len(values.overflows) == 1
