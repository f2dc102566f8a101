"""Copies for ONNX Runtime are no part of what vendors' tools read."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from search.deployment.quantized_model import quantized_model
from tests.builders import model, run
from tests.export.deployments import residual_deployment


def guarded() -> onnx.ModelProto:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="x_QuantizeLinear"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="x_DequantizeLinear"),
        helper.make_node("Sum", ["d"], ["g"], name="x_Guard"),
        helper.make_node("Sum", ["g"], ["k"], name="x_Keep"),
        helper.make_node("Relu", ["k"], ["r"], name="relu"),
        helper.make_node("Sum", ["r"], ["y"], name="users"),
        helper.make_node("Sum", ["g"], ["z1"], name="out_Guard"),
    ]
    constants = {"s": np.float32(0.5), "z": np.int8(0)}
    return model(nodes, ["x:float32[4]"], ["y", "z1"], constants)


def test_copies_are_taken_out_and_nothing_else_changes():
    source = guarded()
    made = residual_deployment(quantized=source.SerializeToString(), node_types={"relu": "Relu", "users": "Sum"})
    found = quantized_model(made)
    names = [node.name for node in found.graph.node]
    assert names == ["x_QuantizeLinear", "x_DequantizeLinear", "relu", "users", "out_Guard"]
    assert next(node for node in found.graph.node if node.name == "relu").input == ["d"]
    feeds = {"x": np.array([-3.2, 0.3, 0.8, 90], np.float32)}
    for name, values in run(source, feeds).items():
        np.testing.assert_array_equal(run(found, feeds)[name], values)
