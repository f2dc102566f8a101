"""Weight grids against ONNX Runtime's quantizer and a loop over channels."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto
from onnxruntime.quantization.quant_utils import quantize_data

from search.errors import InvalidDataError
from search.quant.grid import Grid, ScaleRule, make_grid, quantize
from search.quant.weights import dequantize_weights, quantize_weights, weight_grids

W = (np.random.default_rng(5).normal(size=(6, 4, 3, 3)) * np.arange(1, 7)[:, None, None, None]).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("rule", ScaleRule)
def test_each_channel_equals_the_grid_of_its_range(axis: int | None, bits: int, rule: ScaleRule) -> None:
    scales, zero_points = weight_grids(W, axis, bits, rule)
    q = quantize_weights(W, scales, zero_points, axis, bits)
    channels = [W] if axis is None else list(np.moveaxis(W, axis, 0))
    integers = [q] if axis is None else list(np.moveaxis(q, axis, 0))
    for i, channel in enumerate(channels):
        grid = make_grid(float(channel.min()), float(channel.max()), bits=bits, rule=rule)
        assert (grid.scale, grid.zero_point) == (float(scales.reshape(-1)[i]), int(zero_points.reshape(-1)[i]))
        np.testing.assert_array_equal(integers[i], quantize(np.ascontiguousarray(channel), grid))
    assert scales.dtype == np.float32
    assert q.dtype == zero_points.dtype == Grid(1.0, 0, bits, rule.signed).dtype


@pytest.mark.parametrize(
    ("onnx_type", "rule", "symmetric"),
    [
        (TensorProto.INT8, ScaleRule.ORT_SYMMETRIC, True),
        (TensorProto.INT8, ScaleRule.ORT_SYMMETRIC, False),
        (TensorProto.UINT8, ScaleRule.ORT_ASYMMETRIC, False),
        (TensorProto.UINT8, ScaleRule.ORT_ASYMMETRIC, True),
        (TensorProto.INT16, ScaleRule.ORT_SYMMETRIC, True),
    ],
)
def test_weights_equal_onnx_runtimes_quantizer(onnx_type: int, rule: ScaleRule, symmetric: bool) -> None:
    bits = 16 if onnx_type == TensorProto.INT16 else 8
    for channel in W:
        zero_point, scale, expected = quantize_data(channel, onnx_type, symmetric)[-3:]
        scales, zero_points = weight_grids(channel, None, bits, rule, symmetric)
        assert (float(scales), int(zero_points)) == (float(scale), int(zero_point))
        np.testing.assert_array_equal(quantize_weights(channel, scales, zero_points, None, bits), expected)


@pytest.mark.parametrize("rule", ScaleRule)
@pytest.mark.parametrize("axis", [0, 1, None])
def test_no_weight_is_clipped(rule: ScaleRule, axis: int | None) -> None:
    scales, zero_points = weight_grids(W, axis, 8, rule)
    image = dequantize_weights(quantize_weights(W, scales, zero_points, axis, 8), scales, zero_points, axis)
    step = scales if axis is None else scales.reshape([-1 if i == axis else 1 for i in range(4)])
    assert np.all(np.abs(image - W) <= step / 2 * (1 + 1e-5))


@pytest.mark.parametrize("rule", ScaleRule)
def test_zero_tiny_and_constant_channels_are_exact_or_zero(rule: ScaleRule) -> None:
    w = np.array([[0.0, 0.0], [1e-40, -1e-40], [-2.0, -2.0], [3.0, 3.0]], np.float32)
    scales, zero_points = weight_grids(w, 0, 8, rule)
    image = dequantize_weights(quantize_weights(w, scales, zero_points, 0, 8), scales, zero_points, 0)
    assert scales[:2].tolist() == [1.0, 1.0]
    assert zero_points[:2].tolist() == [0, 0]
    np.testing.assert_array_equal(image[:2], 0)
    np.testing.assert_allclose(image[2:], w[2:], rtol=1e-6)


def test_an_empty_tensor_has_grids_too() -> None:
    scales, _ = weight_grids(np.zeros((3, 0), np.float32), 0, 8, ScaleRule.POWER)
    assert scales.tolist() == [1.0, 1.0, 1.0]


def test_bad_weights_are_named() -> None:
    w = np.array([1.0, np.nan, np.inf], np.float32)
    with pytest.raises(InvalidDataError, match=r"Initializer 'conv\.w' holds 2 NaN or infinite values of 3"):
        weight_grids(w, None, 8, ScaleRule.POWER, name="conv.w")


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="power rule is symmetric"):
        weight_grids(W, 0, 8, ScaleRule.POWER, False)
    with pytest.raises(ValueError, match="'weights' is float64"):
        weight_grids(W.astype(np.float64), 0, 8, ScaleRule.POWER)  # type: ignore[arg-type]
    scales, zero_points = weight_grids(W, 0, 8, ScaleRule.POWER)
    with pytest.raises(ValueError, match="16-bit weights cannot be int8"):
        quantize_weights(W, scales, zero_points, 0, 16)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_reduced_range_is_that_of_onnx_runtime(symmetric: bool) -> None:
    _, zero_point, scale, q = quantize_ort(W, symmetric=symmetric)
    scales, zero_points = weight_grids(W, None, 8, ScaleRule.ORT_SYMMETRIC, symmetric, reduced=True)
    assert (float(scales), int(zero_points)) == (pytest.approx(float(scale), rel=1e-6), int(zero_point))
    got = quantize_weights(W, scales, zero_points, None, 8)
    assert np.abs(got.astype(int)).max() <= 64
    assert np.abs(got.astype(int) - q).max() <= (0 if symmetric else 1)


def quantize_ort(w: np.ndarray, *, symmetric: bool) -> tuple[None, object, object, np.ndarray]:
    zero_point, scale, q = quantize_data(w, TensorProto.INT8, symmetric, reduce_range=True)
    return None, zero_point, scale, np.asarray(q).astype(int)


def test_a_reduced_range_is_for_eight_bits_only() -> None:
    with pytest.raises(ValueError, match="Only int8 weights have a reduced range, got int16"):
        weight_grids(W, 0, 16, ScaleRule.ORT_SYMMETRIC, reduced=True)


def test_an_empty_channel_of_a_reduced_range_is_zero() -> None:
    scales, zero_points = weight_grids(np.zeros((2, 3), np.float32), 0, 8, ScaleRule.ORT_SYMMETRIC, reduced=True)
    np.testing.assert_array_equal((scales, zero_points), ([1, 1], [0, 0]))
