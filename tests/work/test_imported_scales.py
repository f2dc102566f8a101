"""A model that holds Q/DQ pairs keeps its scales."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search.spec.job import JobSpec
from search.targets.target import load_target
from search.work.fixing import fixed_tensors, imported_scales, imported_weights
from search.work.loaded import Loaded
from tests.evaluation.loading import load


def quantized_file(path, *, activation: np.dtype) -> None:
    """``y = Gemm(DQ(Q(x)), DQ(W))`` with per-channel weights."""
    weights = np.array([[-128, 64], [127, 3]], np.int8)
    constants = {
        "xs": np.float32(0.03),
        "xz": np.asarray(0, activation),
        "w": weights,
        "ws": np.array([0.5, 0.25], np.float32),
        "wz": np.zeros(2, np.int8),
        "b": np.array([0.1, -0.2], np.float32),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"], name="q"),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"], name="dq"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], name="dw", axis=0),
        helper.make_node("Gemm", ["xd", "wd", "b"], ["y"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)


def opened(tmp_path, activation: np.dtype) -> Loaded:
    path = tmp_path / "m.onnx"
    quantized_file(path, activation=activation)
    return load(path, {"x": np.ones((2, 2), np.float32)}, threads=1)


def test_scales_of_the_same_kind_are_taken_as_they_are(tmp_path):
    loaded = opened(tmp_path, np.dtype(np.int8))
    assert imported_scales(loaded, load_target("j6m", toolchain=None)) == {(0, 8): (np.float32(0.03), 0)}


def test_scales_of_another_kind_keep_their_range(tmp_path):
    loaded = opened(tmp_path, np.dtype(np.uint8))
    target = load_target("j6m", toolchain=None)
    spec = JobSpec.model_validate(
        {"schema": "bitbudget.job/1", "model": "m", "data": {"calibration": "random"}, "target": {"name": "j6m"}}
    )
    assert imported_scales(loaded, target) == {}
    low, high = fixed_tensors(spec, target, loaded)[0].range or (None, None)
    assert low == 0
    assert np.isclose(high, 255 * 0.03)


def test_weight_scales_are_kept_per_channel(tmp_path):
    assert imported_weights(opened(tmp_path, np.dtype(np.int8))) == {(0, 8): ((0.5, 0.25), (0, 0))}
