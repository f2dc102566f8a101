from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from search.errors import UnsupportedModelError
from search.graph.opset import lift
from tests.builders import assert_same_outputs, batch_norm, batch_norm_constants, conv, graph, model, node

RNG = np.random.default_rng(3)


def old_net(opset):
    """Operators whose attributes became inputs between opset 9 and 21."""
    weights = {"w": RNG.normal(size=(4, 3, 3, 3)), **batch_norm_constants("bn", 4, RNG)}
    nodes = [
        conv("conv", "x", "c", weight="w", pads=[1, 1, 1, 1]),
        batch_norm("bn", "c", "b", "bn"),
        node("ReduceMean", "b", "m", "mean", axes=[3], keepdims=1),
        node("Squeeze", "m", "s", axes=[3]),
        node("Softmax", "s", "y", "soft", axis=1),
        node("Unsqueeze", "b", "z", "unsqueeze", axes=[1]),
    ]
    return model(nodes, ["x[N,3,8,8]"], ["y[N,4,8]", "z[N,1,4,8,8]"], weights, opset=opset)


@pytest.mark.parametrize("opset", [9, 10, 11, 12])
def test_lifting_old_opsets_keeps_outputs_and_names(opset):
    before = old_net(opset)
    lifted = lift(before)
    assert (lifted.from_opset, lifted.to_opset) == (opset, 21)
    assert lifted.proto.opset_import[0].version == 21
    onnx.checker.check_model(lifted.proto)
    assert_same_outputs(before, lifted.proto, tolerance=1e-6)
    names = [n.name for n in lifted.proto.graph.node]
    assert len(set(names)) == len(names)
    assert {"conv", "bn", "mean", "s", "soft", "unsqueeze"} <= set(names)
    added = {name for name in names if "/" in name}
    assert {name.split("/")[0] for name in added} <= {"mean", "s", "soft", "unsqueeze"}


def test_upsample_becomes_resize_under_its_name():
    before = model(
        [node("Upsample", "x s", "y", "up")], ["x[1,1,2,2]"], ["y"], {"s": np.array([1, 1, 2, 2], np.float32)}, opset=9
    )
    lifted = lift(before).proto
    assert [(n.op_type, n.name) for n in lifted.graph.node] == [("Constant", "up/Constant"), ("Resize", "up")]
    assert_same_outputs(before, lifted)


@pytest.mark.parametrize("opset", [21, 22, 24])
def test_higher_opsets_stay(opset):
    before = model([node("Relu", "x", "y")], ["x[1]"], ["y[1]"], opset=opset)
    lifted = lift(before)
    assert (lifted.from_opset, lifted.to_opset) == (opset, opset)
    assert lifted.proto.graph.node[0].name == "y"


def test_bodies_of_subgraphs_are_lifted_too():
    branches = {f"{k}_branch": graph([node("Squeeze", "x", k, axes=[0])], [], [k]) for k in ("then", "else")}
    before = model([node("If", "c", "y", "if", **branches)], ["x[1,3]", "c:bool[]"], ["y"], opset=11)
    assert_same_outputs(before, lift(before).proto)


def test_initializers_that_are_inputs_become_plain_initializers():
    before = old_net(9)
    before.ir_version = 3
    before.graph.input.extend(
        helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in list(before.graph.initializer)
    )
    lifted = lift(before).proto
    assert [i.name for i in lifted.graph.input] == ["x"]
    assert len(lifted.graph.initializer) == len(before.graph.initializer)
    assert_same_outputs(before, lifted, tolerance=1e-6)


def test_the_given_model_is_not_changed():
    before = old_net(11)
    copy = onnx.ModelProto()
    copy.CopyFrom(before)
    lift(before)
    assert before == copy


def test_large_weights_come_through_as_they_are():
    before = model([node("MatMul", "x w", "y")], ["x[N,2000]"], ["y[N,5000]"], {"w": np.ones((2000, 5000), np.float32)})
    lifted = lift(before)
    assert lifted.proto.graph.initializer[0].raw_data == before.graph.initializer[0].raw_data


def test_what_cannot_be_converted_says_what_to_do():
    before = model([node("Upsample", "x s", "y")], ["x[1,1,2,2]", "s[4]"], ["y"], opset=9)
    before.graph.node[0].attribute.append(helper.make_attribute("mode", "nearest"))
    before.graph.node.append(node("Scatter", "x i u", "z", "sc"))
    before.graph.node.append(node("NoSuch", "z", "q"))
    with pytest.raises(UnsupportedModelError, match=r"from opset 9 to 21: .*Export it again at opset 21"):
        lift(before)
