"""Pooling, means and Resize in integers against ONNX Runtime on the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_step import INT8, INT16, ONE, WIDTHS, uint8, values_of
from onnx import TensorProto, helper

from search.simulator.making.factors import result_rescale
from search.simulator.making.means import mean_rescale, window_counts
from search.simulator.making.resizing import interpolation_indices, interpolation_matrices
from search.simulator.program import Interpolate, MaxPool, Mean, Pick, Window
from search.simulator.reference.spatial import run_interpolate, run_max_pool, run_mean, run_pick
from search.simulator.windows import output_sizes

Array = npt.NDArray[Any]


def pooled(op: str, x: Array, window: Window, opset: int = 21, **attributes: Any) -> Array:
    node = helper.make_node(
        op,
        ["x"],
        ["y"],
        kernel_shape=window.kernel,
        strides=window.strides,
        pads=window.pads,
        dilations=window.dilations,
        ceil_mode=int(window.ceil_mode),
        **attributes,
    )
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x.astype(np.float32)})[0])


@st.composite
def windows(draw: st.DrawFn) -> Window:
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    return Window(
        kernel=kernel,
        strides=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        pads=tuple(draw(st.integers(0, size - 1)) for size in kernel + kernel),
        dilations=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        ceil_mode=draw(st.booleans()),
    )


@settings(max_examples=60)
@given(window=windows(), seed=st.integers(0, 99), zero_point=st.sampled_from([0, 3, 255]))
def test_max_pool_equals_the_float_operator(window: Window, seed: int, zero_point: int) -> None:
    grid = uint8(zero_point)
    x = np.random.default_rng(seed).integers(0, 256, (1, 2, 7, 9))
    got = run_max_pool(
        MaxPool(name="n", output="y", input="x", window=window), values_of({"x": (x, grid)}, {"y": grid})
    )
    np.testing.assert_array_equal(got, pooled("MaxPool", x, window))


@settings(max_examples=60)
@given(window=windows(), seed=st.integers(0, 99), include_pad=st.booleans())
def test_average_pool_is_within_half_a_step_of_the_float_operator(window: Window, seed: int, include_pad: bool) -> None:
    x = np.random.default_rng(seed).integers(-128, 128, (1, 2, 7, 9))
    counts = window_counts((7, 9), window, include_pad=include_pad)
    made = mean_rescale(INT8, INT16, counts, WIDTHS, node="n")
    step = Mean(name="n", output="y", input="x", axes=(), keepdims=True, window=window, rescale=made.rescale)
    got = run_mean(step, values_of({"x": (x, INT8)}, {"y": INT16}))
    expected = pooled("AveragePool", x, window, count_include_pad=int(include_pad)) * INT8.scale / INT16.scale
    assert got.shape == expected.shape
    # half a step, and a 2**-15th of the value for the multiplier
    assert np.abs(got - expected).max() <= 0.5 + np.abs(expected).max() * 2.0**-14


@given(seed=st.integers(0, 99), keepdims=st.booleans(), axes=st.sampled_from([(2, 3), (1,), (-1,), (0, 1, 2, 3)]))
def test_means_over_axes(seed: int, keepdims: bool, axes: tuple[int, ...]) -> None:
    x = np.random.default_rng(seed).integers(-(2**15), 2**15, (2, 3, 4, 5))
    n = int(np.prod([x.shape[axis] for axis in axes]))
    made = mean_rescale(INT16, INT16, n, WIDTHS, node="n")
    step = Mean(name="n", output="y", input="x", axes=axes, keepdims=keepdims, window=None, rescale=made.rescale)
    got = run_mean(step, values_of({"x": (x, INT16)}, {"y": INT16}))
    expected = x.mean(axis=axes, keepdims=keepdims)
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() <= 0.5 + np.abs(expected).max() * 2.0**-15


def test_one_factor_serves_windows_that_all_count_the_same() -> None:
    window = Window((2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
    made = mean_rescale(INT8, INT8, window_counts((4, 6), window, include_pad=False), WIDTHS, node="n")
    assert made.rescale.multiplier.shape == ()
    border = Window((2, 2), (1, 1), (1, 1, 0, 0), (1, 1))
    made = mean_rescale(INT8, INT8, window_counts((4, 6), border, include_pad=False), WIDTHS, node="n")
    assert made.rescale.multiplier.shape == (4, 6)


def test_a_window_larger_than_its_input_is_named() -> None:
    with pytest.raises(ValueError, match="reaches over 5 values does not fit into 4 of axis 1"):
        output_sizes((9, 4), Window((3, 5), (1, 1), (0, 0, 0, 0), (1, 1)))


# -- resize


def resized(
    x: Array, sizes: tuple[int, ...] | None, scales: list[float] | None, roi: list[float], **attributes: Any
) -> Array:
    constants = [helper.make_tensor("roi", TensorProto.FLOAT, [8], roi)]
    names = ["x", "roi", "", ""]
    if scales is None:
        assert sizes is not None
        constants.append(helper.make_tensor("sizes", TensorProto.INT64, [4], sizes))
        names[3] = "sizes"
    else:
        constants.append(helper.make_tensor("scales", TensorProto.FLOAT, [4], scales))
        names = [*names[:2], "scales"]
    graph = helper.make_graph(
        [helper.make_node("Resize", names, ["y"], **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x.astype(np.float32)})[0])


TRANSFORMATIONS = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
WHOLE = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
CROP = [0.0, 0.0, 0.1, 0.25, 1.0, 1.0, 1.2, 0.75]


@st.composite
def resizes(draw: st.DrawFn) -> tuple[tuple[int, int, int, int], list[float] | None, list[float]]:
    """Shape of the output, scales or None, roi; of an input ``[1, 2, 6, 9]``."""
    roi = draw(st.sampled_from([WHOLE, CROP]))
    if draw(st.booleans()):
        # powers of two and thirds: what models have, and where float32 places ties exactly
        factors = draw(st.tuples(*[st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, 4.0])] * 2))
        scales = [1.0, 1.0, *factors]
        return (1, 2, int(6 * factors[0]), int(9 * factors[1])), scales, roi
    sizes = draw(st.tuples(st.sampled_from([3, 6, 8, 12, 18, 24]), st.sampled_from([1, 3, 9, 18, 27, 36])))
    return (1, 2, *sizes), None, roi


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@pytest.mark.parametrize("nearest_mode", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@settings(max_examples=25)
@given(case=resizes(), seed=st.integers(0, 99))
def test_nearest_picks_what_the_float_operator_picks(
    transformation: str, nearest_mode: str, case: Any, seed: int
) -> None:
    shape, scales, roi = case
    x = np.random.default_rng(seed).integers(1, 128, (1, 2, 6, 9))
    indices = interpolation_indices(
        x.shape, shape, scales, transformation=transformation, nearest_mode=nearest_mode, roi=roi
    )
    expected = resized(
        x, shape, scales, roi, mode="nearest", nearest_mode=nearest_mode, coordinate_transformation_mode=transformation
    )
    values = values_of({"x": (x, INT8)}, {"y": INT8})
    got = run_pick(Pick(name="n", output="y", input="x", indices=indices), values)
    outside = np.zeros(got.shape, bool)
    for axis, index in indices.items():
        outside |= (index < 0).reshape([-1 if i == axis else 1 for i in range(4)])
    np.testing.assert_array_equal(np.where(outside, 0, got), expected)


@pytest.mark.parametrize("transformation", TRANSFORMATIONS)
@settings(max_examples=30)
@given(case=resizes(), seed=st.integers(0, 99))
def test_linear_resize_is_within_its_bound_of_the_float_operator(transformation: str, case: Any, seed: int) -> None:
    shape, scales, roi = case
    x = np.random.default_rng(seed).integers(-128, 128, (1, 2, 6, 9))
    matrices = interpolation_matrices(x.shape, shape, scales, transformation=transformation, roi=roi)
    expected = resized(x, shape, scales, roi, mode="linear", coordinate_transformation_mode=transformation)
    factor = INT8.scale / INT16.scale * 2.0 ** (-10 * len(matrices))
    rescale = result_rescale(factor, WIDTHS, node="n").rescale
    step = Interpolate(name="n", output="y", input="x", matrices=matrices, rescale=rescale)
    got = run_interpolate(step, values_of({"x": (x, INT8)}, {"y": INT16})) * INT16.scale
    # each weight is off by half a 1024th at most, of a difference of at most 255 steps
    bound = len(matrices) * 255 * INT8.scale * 2.0**-11 + INT16.scale * 0.51 + 128 * INT8.scale * 2.0**-15
    assert np.abs(got - expected * INT8.scale).max() <= bound


@given(n_in=st.integers(1, 30), n_out=st.integers(1, 60), transformation=st.sampled_from(TRANSFORMATIONS))
def test_every_row_of_weights_sums_to_1024_or_is_outside(n_in: int, n_out: int, transformation: str) -> None:
    matrices = interpolation_matrices((n_in,), (n_out,), None, transformation=transformation, roi=[0.1, 1.3])
    for matrix in matrices.values():
        assert matrix.shape == (n_out, n_in)
        assert matrix.min() >= 0
        allowed = {0, 1024} if transformation == "tf_crop_and_resize" else {1024}
        assert set(matrix.sum(axis=1).tolist()) <= allowed


def test_unknown_modes_are_named() -> None:
    with pytest.raises(ValueError, match="Unknown coordinate_transformation_mode 'odd'"):
        interpolation_matrices((4,), (8,), None, transformation="odd")
    with pytest.raises(ValueError, match="Unknown nearest_mode 'odd'"):
        interpolation_indices((4,), (8,), None, transformation="asymmetric", nearest_mode="odd")


def test_picking_may_change_the_grid() -> None:
    values = values_of({"x": (np.array([[-4, 7]]), INT8)}, {"y": INT16})
    step = Pick(name="n", output="y", input="x", indices={1: np.array([1, 1, 0])}, rescale=ONE)
    assert run_pick(step, values).tolist() == [[7, 7, -4]]
