"""A convolution with a computed bias becomes one without and an Add, and computes what it computed."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.graph.passes.computed_bias import split_computed_bias
from tests.builders import assert_same_outputs, model, node

RNG = np.random.default_rng(0)
FORMS = {
    "Conv": ("x[2,3,6,6]", (4, 3, 3, 3), {}),
    "Conv of one dimension": ("x[2,3,9]", (4, 3, 3), {}),
    "grouped Conv": ("x[2,4,6,6]", (4, 1, 3, 3), {"group": 4}),
    "ConvTranspose": ("x[2,3,6,6]", (3, 4, 2, 2), {"strides": [2, 2]}),
}


def split(before):
    after = ir.from_proto(onnx.shape_inference.infer_shapes(before))
    split_computed_bias(after.graph)
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto, tolerance=1e-6)
    return [(n.op_type, n.name) for n in proto.graph.node]


@pytest.mark.parametrize("form", FORMS)
def test_the_bias_becomes_an_add_behind_it(form):
    x, weight, attributes = FORMS[form]
    op_type = "ConvTranspose" if "Transpose" in form else "Conv"
    nodes = [
        node("ReduceMean", "t", "b", "mean", axes=[0], keepdims=0),
        node(op_type, "x w b", "c", "conv", **attributes),
        node("Relu", "c", "y", "relu"),
    ]
    before = model(nodes, [x, "t[5,4]"], ["y"], {"w": RNG.normal(size=weight)})
    assert split(before)[1:4] == [(op_type, "conv"), ("Reshape", "conv/bias_shape"), ("Add", "conv/bias")]


def test_a_model_output_keeps_its_name_and_a_constant_bias_its_place():
    nodes = [
        node("ReduceMean", "t", "b", "mean", axes=[0], keepdims=0),
        node("Conv", "x w b", "y", "computed"),
        node("Conv", "x w c", "z", "constant"),
    ]
    constants = {"w": RNG.normal(size=(4, 3, 3, 3)), "c": RNG.normal(size=4)}
    found = split(model(nodes, ["x[2,3,6,6]", "t[5,4]"], ["y", "z"], constants))
    assert [one for one in found if one[1].startswith("constant")] == [("Conv", "constant")]
