from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.graph.network import OpClass
from tests.builders import conv, model, node
from tests.graph.graphs import RNG, see

W = {"w": RNG.normal(size=(4, 3, 3, 3)), "k": RNG.normal(size=(64, 10))}
X = ["x[N,3,8,8]"]


def test_values_that_are_only_moved_belong_to_one_tensor():
    nodes = [
        node("Relu", "x", "a", "relu"),
        node("Transpose", "a", "b", "t", perm=[0, 2, 3, 1]),
        node("Reshape", "b shape", "c", "r"),
        node("Slice", "c zero two one", "d", "s"),
        node("Split", "d", "e f", "sp", axis=1, num_outputs=2),
        node("Unsqueeze", "e one", "g", "u"),
        node("Squeeze", "g one", "h", "sq"),
        node("Pad", "h pads", "i", "p"),
        node("Unsqueeze", "i one", "j", "u2"),
        node("Expand", "j wide", "m", "e"),
        node("Flatten", "m", "o", "f"),
        node("Sigmoid", "o", "y", "sig"),
        node("Tanh", "f", "z", "tanh"),
    ]
    constants = {
        "shape": np.array([0, 8, 24]),
        "zero": np.array([0]),
        "two": np.array([4]),
        "one": np.array([1]),
        "pads": np.array([0, 0, 1, 0, 0, 1]),
        "wide": np.array([1, 2, 1, 1]),
    }
    seen = see(model(nodes, X, ["y", "z"], constants, opset=18))
    assert seen.summary == [("Relu", "relu"), ("Sigmoid", "sig"), ("Tanh", "tanh")]
    root = seen.structure.tensor_of["a"]
    assert {v for v, t in seen.structure.tensor_of.items() if t == root} == set("abcdefghijmo")
    assert {name for name, role in seen.structure.roles.items() if role.role == "pass_through"} == {
        *("t", "r", "s", "sp", "u", "sq", "p", "u2", "e", "f")
    }
    assert seen.network.tensors[root].elements == 3 * 8 * 8


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "moves"),
    [
        ("Pad", "x pads", {}, True),
        ("Pad", "x pads", {"mode": "reflect"}, True),
        ("Pad", "x pads one", {}, False),
        ("Resize", "x _ scales", {}, False),
        ("Resize", "x _ scales", {"mode": "linear"}, False),
        ("Gather", "x picked", {"axis": 1}, True),
        ("DepthToSpace", "x", {"blocksize": 2}, True),
        ("Neg", "x", {}, False),
    ],
)
def test_moving_means_every_result_is_a_value_of_the_input(op_type, inputs, attributes, moves):
    constants = {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "one": np.float32(1),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "picked": np.array([2, 0]),
    }
    used = {name: array for name, array in constants.items() if name in inputs.split()}
    seen = see(model([node(op_type, inputs, "y", "n", **attributes)], ["x[N,4,8,8]"], ["y"], used))
    assert (seen.structure.tensor_of["y"] == seen.structure.tensor_of["x"]) is moves
    assert bool(seen.network.groups) is not moves


def test_model_outputs_name_their_tensor_also_through_moves_and_beside_readers():
    nodes = [
        node("Relu", "x", "a", "relu"),
        node("Flatten", "a", "flat", "f"),
        node("Sigmoid", "a", "y", "sig"),
        node("Flatten", "x", "copy", "f2"),
    ]
    seen = see(model(nodes, X, ["y", "flat", "a", "copy"]))
    assert seen.tensor("a").model_outputs == ("flat", "a")
    assert seen.tensor("x").model_outputs == ("copy",)
    assert seen.tensor("y").model_outputs == ("y",)
    assert seen.network.outputs == ("y", "flat", "a", "copy")
    assert seen.network.feeds_only_outputs == (False, True)


def test_every_float_model_input_that_is_read_is_a_tensor_under_its_name():
    nodes = [node("Concat", "x z", "a", "cat", axis=1), node("Gather", "a i", "y", "pick", axis=1)]
    seen = see(model(nodes, ["x[N,3]", "i:int64[2]", "z[N,70]", "unread[N,2]"], ["y"]))
    inputs = [t for t in seen.network.tensors if t.writer is None]
    assert [(t.name, t.op_name, t.elements, t.integer_input) for t in inputs] == [
        ("x", "x", 3, None),
        ("z", "z", 70, None),
    ]


@pytest.mark.parametrize(
    ("dtype", "ends"), [("uint8", (0, 255)), ("int8", (-128, 127)), ("int16", (-32768, 32767)), ("bool", None)]
)
def test_an_integer_input_brought_to_float_keeps_its_range(dtype, ends):
    nodes = [
        node("Transpose", "image", "t", "t", perm=[0, 3, 1, 2]),
        node("Cast", "t", "f", "cast", to=onnx.TensorProto.FLOAT),
        conv("c", "f", "y", weight="w"),
    ]
    seen = see(model(nodes, [f"image:{dtype}[N,8,8,3]"], ["y"], {"w": W["w"]}))
    tensor = seen.tensor("f")
    assert (tensor.integer_input, tensor.writer) == (ends, None)
    assert tensor.op_name == ("image" if ends else "cast"), "a row is named after the input"


def test_integers_that_were_computed_are_no_integer_input():
    nodes = [
        node("Add", "i i", "j", "add"),
        node("Cast", "j", "f", "cast", to=onnx.TensorProto.FLOAT),
        node("Sigmoid", "f", "y", "s"),
    ]
    seen = see(model(nodes, ["i:int32[N,4]"], ["y"]))
    assert seen.tensor("f").integer_input is None
    assert seen.structure.roles["add"].why == "integers only"
    assert seen.structure.roles["cast"].why == "brings integers to float"


def test_shared_weights_are_one_constant_per_reader():
    nodes = [node("MatMul", "x k", "a", "one"), node("Relu", "a", "b", "r"), node("MatMul", "b k", "y", "two")]
    seen = see(model(nodes, ["x[N,4]"], ["y"], {"k": RNG.normal(size=(4, 4))}))
    assert [(c.name, c.node) for c in seen.network.constants] == [("k", "one"), ("k", "two")]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_work_is_per_sample_whatever_the_batch(batch):
    nodes = [
        conv("c", "x", "a", weight="w", strides=[2, 2]),
        node("Relu", "a", "b", "r"),
        node("Flatten", "b", "f", "f"),
        node("MatMul", "f k", "y", "mm"),
    ]
    seen = see(model(nodes, X, ["y"], {"w": W["w"], "k": RNG.normal(size=(36, 10))}), batch=batch)
    assert [(g.macs, g.elements) for g in seen.network.groups] == [(4 * 9 * 27, 72), (360, 10)]
    assert [t.elements for t in seen.network.tensors] == [192, 36, 10]
    assert seen.network.total_macs == 4 * 9 * 27 + 360


def test_every_node_has_a_role_with_a_reason():
    nodes = [
        conv("c", "x", "a", weight="w"),
        node("Relu", "a", "b", "relu"),
        node("Shape", "b", "s", "shape"),
        node("Gather", "s zero", "n", "gather"),
        node("Unsqueeze", "n zero", "n1", "unsqueeze"),
        node("Concat", "n1 rest", "to", "concat", axis=0),
        node("Reshape", "b to", "f", "reshape"),
        node("Mod", "f one", "m", "mod", fmod=1),
        node("Add", "f m", "y", "sum"),
    ]
    constants = {"w": W["w"], "zero": np.array(0), "rest": np.array([-1]), "one": np.float32(1)}
    constants["zero"] = np.array([0])
    nodes[4] = node("Identity", "n", "n1", "unsqueeze")
    roles = see(model(nodes, X, ["y"], constants)).structure.roles
    assert {name: role.role for name, role in roles.items()} == {
        "c": "compute",
        "relu": "fused",
        "shape": "float",
        "gather": "float",
        "concat": "float",
        "reshape": "pass_through",
        "mod": "float",
        "sum": "compute",
    }
    assert (roles["relu"].into, roles["relu"].group) == ("c", 0)
    assert roles["shape"].why == "depends on shapes only"
    assert roles["mod"].why == "Mod is not quantized here"


UNARY = ["Relu", "Sigmoid", "Tanh", "Neg", "Exp", "Identity", "Erf"]
BINARY = ["Add", "Mul", "Sub", "Div"]


@st.composite
def small_graphs(draw):
    """A random graph over values of shape [N, 4, 4, 4], with moves, constants, gemms and several outputs."""
    nodes, constants, values = [], {}, ["x"]
    for i in range(draw(st.integers(1, 14))):
        kind, out, a = draw(st.sampled_from("umbcmlt")), f"v{i}", draw(st.sampled_from(values))
        if kind == "u":
            nodes.append(node(draw(st.sampled_from(UNARY)), [a], [out], f"n{i}"))
        elif kind == "b":
            b = draw(st.sampled_from(values))
            nodes.append(node(draw(st.sampled_from(BINARY)), [a, b], [out], f"n{i}"))
        elif kind == "c":
            constants[f"w{i}"] = np.full((4, 4, 1, 1), 0.1)
            nodes.append(conv(f"n{i}", a, out, weight=f"w{i}"))
        elif kind == "l":
            constants[f"w{i}"] = np.full((4, 4), 0.1)
            order = [a, f"w{i}"] if draw(st.booleans()) else [f"w{i}", a]
            nodes.append(node("MatMul", order, [out], f"n{i}"))
        elif kind == "t":
            nodes.append(node("Transpose", [a], [out], f"n{i}", perm=[0, 1, 3, 2]))
        else:
            shape = draw(st.sampled_from([(4, 1, 1), (4,), (1, 4, 4, 4), ()]))
            constants[f"k{i}"] = np.full(shape, 0.5)
            order = [a, f"k{i}"] if draw(st.booleans()) else [f"k{i}", a]
            nodes.append(node(draw(st.sampled_from(BINARY)), order, [out], f"n{i}"))
        values.append(out)
    read = {name for n in nodes for name in n.input}
    ends = [name for name in values[1:] if name not in read]
    extra = draw(st.sampled_from(values[1:]))
    return model(nodes, ["x[N,4,4,4]"], list(dict.fromkeys([*ends, extra])), constants)


@settings(max_examples=120, deadline=None)
@given(small_graphs())
def test_whatever_the_graph_the_network_is_consistent(proto):
    """``see`` checks the invariants; besides, every computing node is in exactly one group."""
    seen = see(proto)
    grouped = {name for group in seen.network.groups for name in group.nodes}
    moved = {name for name, role in seen.structure.roles.items() if role.role == "pass_through"}
    assert grouped | moved == {n.name for n in seen.graph}
    for group in seen.network.groups:
        assert len(group.nodes) == 1 or group.op_class in (OpClass.GEMM, OpClass.LUT, OpClass.NORM)
