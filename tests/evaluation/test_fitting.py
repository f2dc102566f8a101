"""Weights are coarser exactly where an int32 bias asks for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from search.evaluation.biases import accumulator_scales, quantized_bias
from search.evaluation.fitting import FittedGrids
from search.precision import Format
from search.quant.weights import dequantize_weights
from search.targets.legalise import uniform
from search.targets.placement import place
from search.targets.target import load_target
from tests.builders import conv, model, node
from tests.evaluation.loading import load_proto, min_max_grids

ORT = load_target("ort-cpu", toolchain=None)
RNG = np.random.default_rng(2)


def fitted(tmp_path: Any, weights: Any, bias: Any) -> tuple[FittedGrids, Any]:
    nodes = [conv("c1", "x", "a", weight="w", bias="b"), node("Relu", "a", "y", "relu")]
    proto: onnx.ModelProto = model(nodes, ["x[N,4,6,6]"], ["y[N,4,6,6]"], {"w": weights, "b": bias})
    feeds = {"x": RNG.normal(size=(4, 4, 6, 6)).astype(np.float32)}
    loaded = load_proto(proto, feeds, tmp_path)
    network, grids = loaded.structure.network, min_max_grids(loaded, feeds, ORT)
    placement = place(network, ORT, uniform(network, ORT, "low"))
    return FittedGrids(loaded.template, placement, grids), grids


def test_a_channel_whose_bias_is_too_large_for_int32_gets_coarser_weights(tmp_path):
    weights, bias = RNG.normal(size=(4, 4, 1, 1)).astype(np.float32), np.array([1, -1, 1, 1], np.float32)
    weights[0], weights[1] = 0, weights[1] * 1e-9
    coarse, grids = fitted(tmp_path, weights, bias)
    before, after = grids.weight(0, Format.INT8), coarse.weight(0, Format.INT8)
    assert after.scales[1] > before.scales[1]
    np.testing.assert_array_equal(after.scales[2:], before.scales[2:])
    np.testing.assert_array_equal(after.values[2:], before.values[2:])
    sums = accumulator_scales(coarse.template.network, coarse.placement, coarse, 0)
    (found,) = coarse.template.biases.values()
    assert sums is not None
    form = quantized_bias(found, bias, sums)
    assert form.grid is not None
    exact = form.grid.values.astype(np.float64) * form.grid.scales
    assert np.all(np.abs(exact - bias) <= 0.51 * sums)  # half a step of the accumulator, as everywhere


def test_what_a_product_loses_is_nothing_beside_the_bias(tmp_path):
    weights, bias = RNG.normal(size=(4, 4, 1, 1)).astype(np.float32), np.ones(4, np.float32)
    weights[1] *= 1e-8
    coarse, _ = fitted(tmp_path, weights, bias)
    after = coarse.weight(0, Format.INT8)
    image = dequantize_weights(np.asarray(after.values), after.scales, np.asarray(after.zero_points), after.axis)
    scale = float(coarse.activation(0, Format.INT8).scale)
    assert 255 * scale * np.max(np.abs(image[1] - weights[1])) <= 2.0**-23


def test_biases_that_fit_change_nothing(tmp_path):
    coarse, grids = fitted(tmp_path, RNG.normal(size=(4, 4, 1, 1)).astype(np.float32), np.ones(4, np.float32))
    assert coarse.weight(0, Format.INT8) is grids.weight(0, Format.INT8)
