from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.graph.passes.no_effect import drop_no_effect
from tests.builders import assert_same_outputs, model, node

BIG = 2**63 - 1
I64 = np.int64


def dropped(before):
    after = ir.from_proto(onnx.shape_inference.infer_shapes(before))
    changes = drop_no_effect(after.graph)
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto, tolerance=0)
    return [n.name for n in after.graph], changes


def between(made, constants=None, source="x[N,3,4]"):
    """Relu -> made ``n`` -> Relu."""
    nodes = [node("Relu", "x", "a", "first"), made, node("Relu", "b", "y", "last")]
    return model(nodes, [source], ["y"], constants, opset=21)


NO_EFFECT = {
    "identity": (node("Identity", "a", "b", "n"), {}),
    "dropout": (node("Dropout", "a", "b", "n"), {}),
    "dropout with ratio": (node("Dropout", "a r t", "b", "n"), {"r": np.float32(0.5), "t": np.array(False)}),
    "cast": (node("Cast", "a", "b", "n", to=1), {}),
    "transpose": (node("Transpose", "a", "b", "n", perm=[0, 1, 2]), {}),
    "pad": (node("Pad", "a p", "b", "n"), {"p": np.zeros(6, I64)}),
    "slice": (node("Slice", "a s e", "b", "n"), {"s": np.zeros(2, I64), "e": np.array([BIG, BIG])}),
    "slice to the size": (
        node("Slice", "a s e axes", "b", "n"),
        {"s": np.zeros(2, I64), "e": np.array([3, 9]), "axes": np.array([1, -1])},
    ),
    "concat": (node("Concat", "a", "b", "n", axis=1), {}),
    "max": (node("Max", "a", "b", "n"), {}),
    "expand": (node("Expand", "a s", "b", "n"), {"s": np.ones(2, I64)}),
    "reshape zeros": (node("Reshape", "a s", "b", "n"), {"s": np.array([0, 0, 4])}),
    "reshape open": (node("Reshape", "a s", "b", "n"), {"s": np.array([-1, 3, 4])}),
}
EFFECT = {
    "cast": (node("Cast", "a", "b", "n", to=10), {}),
    "transpose": (node("Transpose", "a", "b", "n", perm=[0, 2, 1]), {}),
    "pad": (node("Pad", "a p", "b", "n"), {"p": np.array([0, 0, 0, 0, 1, 0])}),
    "slice": (node("Slice", "a s e", "b", "n"), {"s": np.zeros(2, I64), "e": np.array([BIG, 2])}),
    "slice in steps": (
        node("Slice", "a s e axes t", "b", "n"),
        {"s": np.zeros(1, I64), "e": np.array([BIG]), "axes": np.array([2]), "t": np.array([2])},
    ),
    "concat": (node("Concat", "a a", "b", "n", axis=1), {}),
    "expand": (node("Expand", "a s", "b", "n"), {"s": np.array([2, 1, 1, 1])}),
    "reshape": (node("Reshape", "a s", "b", "n"), {"s": np.array([0, 4, 3])}),
    "reshape two batches": (node("Reshape", "a s", "b", "n"), {"s": np.array([2, 3, -1])}),
    "reshape swapped": (node("Reshape", "a s", "b", "n"), {"s": np.array([0, -1, 3])}),
}


@pytest.mark.parametrize("name", NO_EFFECT)
def test_nodes_without_effect_go(name):
    made, constants = NO_EFFECT[name]
    names, changes = dropped(between(made, constants))
    assert names == ["first", "last"]
    assert changes.fates["n"].into == "first"
    assert changes.renamed == {"b": "a"}


@pytest.mark.parametrize("name", EFFECT)
def test_nodes_with_an_effect_stay(name):
    made, constants = EFFECT[name]
    before = between(made, constants)
    if made.op_type == "Cast":
        before.graph.node[2].op_type = "Identity"
        before.graph.output[0].type.tensor_type.elem_type = 10
    names, changes = dropped(before)
    assert "n" in names
    assert "n" not in changes.fates


def test_flatten_of_a_matrix_goes():
    names, _ = dropped(between(node("Flatten", "a", "b", "n"), source="x[N,3]"))
    assert names == ["first", "last"]


def test_a_chain_goes_as_a_whole():
    nodes = [
        node("Relu", "x", "a", "r"),
        node("Identity", "a", "b", "i1"),
        node("Dropout", "b", "c", "i2"),
        node("Cast", "c", "y", "i3", to=1),
    ]
    names, changes = dropped(model(nodes, ["x[N,3]"], ["y[N,3]"], opset=21))
    assert names == ["r"]
    assert {name: changes.fate_now(name).into for name in changes.fates} == {"i1": "r", "i2": "r", "i3": "r"}
    assert changes.value_now("b") == changes.value_now("a") == "y"


def test_two_outputs_of_one_value_keep_one_node():
    nodes = [node("Relu", "x", "a", "r"), node("Identity", "a", "y", "i1"), node("Identity", "a", "z", "i2")]
    names, _ = dropped(model(nodes, ["x[N,3]"], ["y[N,3]", "z[N,3]"], opset=21))
    assert names == ["r", "i2"]


def test_an_output_that_is_read_again_keeps_its_name():
    nodes = [node("Relu", "x", "a", "r"), node("Identity", "a", "y", "i"), node("Neg", "y", "z", "n")]
    names, _ = dropped(model(nodes, ["x[N,3]"], ["y[N,3]", "z[N,3]", "a[N,3]"], opset=21))
    assert names == ["r", "i", "n"]


def test_between_input_and_output_it_stays():
    names, changes = dropped(model([node("Identity", "x", "y", "i")], ["x[N,3]"], ["y[N,3]"], opset=21))
    assert (names, changes.modified) == (["i"], False)


def test_a_dropout_whose_mask_is_read_stays():
    nodes = [node("Relu", "x", "a"), node("Dropout", "a", "b m", "n"), node("Relu", "b", "y")]
    names, _ = dropped(model(nodes, ["x[N,3]"], ["y[N,3]", "m:bool[N,3]"], opset=21))
    assert "n" in names
