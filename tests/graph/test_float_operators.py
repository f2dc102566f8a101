from __future__ import annotations

import numpy as np
import onnx
import pytest

from search.graph.build import CAPTURED
from search.graph.network import OpClass
from search.graph.operators import CLASSES
from tests.builders import conv, graph, model, node
from tests.graph.graphs import RNG, see


def branch(op_type, read, out):
    return graph([node(op_type, read, out)], [], [f"{out}[N,4,8,8]"], name=out)


def loop_body():
    nodes = [
        node("Identity", "go", "again"),
        node("Add", "state outer", "next"),
        node("If", "go", "deep", then_branch=branch("Neg", "outer", "i1"), else_branch=branch("Abs", "next", "i2")),
    ]
    return graph(
        nodes, ["i:int64[]", "go:bool[]", "state[N,4,8,8]"], ["again:bool[]", "next[N,4,8,8]", "deep[N,4,8,8]"]
    )


ODD = [
    node("TopK", "x two", "v i", "n", axis=1),
    node("ArgMax", "x", "i", "n"),
    node("ReduceMax", "x", "y", "n"),
    node("ReduceSum", "x", "y", "n"),
    node("InstanceNormalization", "x scale scale", "y", "n"),
    node("LpNormalization", "x", "y", "n"),
    node("LogSoftmax", "x", "y", "n"),
    node("Where", "flag x zero", "y", "n"),
    node("Einsum", "x x x", "y", "n", equation="nchw,ncwd,ncde->nche"),
    node("Einsum", "x", "y", "n", equation="nchh->nch"),
    node("CumSum", "x axis", "y", "n"),
    node("Pow", "x zero", "y", "n"),
    node("Sin", "x", "y", "n"),
    node("Elu", "x", "y", "n"),
    node("Min", "x x zero", "y", "n"),
    node("Max", "x x zero", "y", "n"),
    node("Sum", "x x x", "y", "n"),
    node("GreaterOrEqual", "x zero", "b", "n"),
    node("IsNaN", "x", "b", "n"),
    node("NonZero", "x", "i", "n"),
    node("GatherND", "x where", "y", "n"),
    node("GatherElements", "x like", "y", "n"),
    node("ScatterND", "x where rows", "y", "n"),
    node("ScatterElements", "x like x", "y", "n"),
    node("LRN", "x", "y", "n", size=3),
    node("LpPool", "x", "y", "n", kernel_shape=[2, 2]),
    node("GlobalMaxPool", "x", "y", "n"),
    node("MaxPool", "x", "y i", "n", kernel_shape=[2, 2]),
    node("MeanVarianceNormalization", "x", "y", "n"),
    node("Trilu", "x", "y", "n"),
    node("ReverseSequence", "x lengths", "y", "n", batch_axis=0, time_axis=1),
    node("RoiAlign", "x rois lengths", "y", "n", output_height=2, output_width=2),
    node("If", "on", "y", "n", then_branch=branch("Neg", "x", "t"), else_branch=branch("Abs", "x", "e")),
    node("Loop", "count on x", "y z", "n", body=loop_body()),
]


def test_a_cast_to_the_type_of_an_output_is_no_operator():
    nodes = [conv("stem", "image", "x", weight="w"), node("Cast", "x", "d", "n", to=onnx.TensorProto.DOUBLE)]
    seen = see(model(nodes, ["image[1,3,8,8]"], ["d:float64"], {"w": RNG.normal(size=(4, 3, 1, 1))}, opset=18))
    assert [group.name for group in seen.network.groups] == ["stem"]
    assert seen.network.tensors[seen.network.groups[0].outputs[0]].model_outputs == ("d",)


def test_what_has_no_form_here_is_float():
    assert not {"Einsum", "NonZero", "RoiAlign", "If", "Loop", "ArgMax", "TopK"} & set(CLASSES)


@pytest.mark.parametrize("odd", ODD, ids=lambda n: n.op_type)
def test_an_operator_that_is_not_quantized_stays_float_and_is_listed(odd):
    """Between a Conv and whatever reads its results; never an exception."""
    constants = {
        "w": RNG.normal(size=(4, 3, 1, 1)),
        "two": np.array([2]),
        "scale": np.ones(4, np.float32),
        "zero": np.float32(0.5),
        "half": np.float32(0.5),
        "axis": np.array(1),
        "where": np.array([[0, 1]]),
        "rows": np.zeros((1, 8, 8), np.float32),
        "like": np.zeros((1, 4, 8, 8), np.int64),
        "lengths": np.array([0]),
        "rois": np.array([[0, 0, 4, 4]], np.float32),
        "count": np.array(2),
        "flag": np.ones((1, 4, 8, 8), bool),
        "on": np.array(True),
    }
    used = {name: array for name, array in constants.items() if name in ("w", *odd.input)}
    inputs = ["image[1,3,8,8]"]
    if odd.op_type == "If":
        used.pop("on")
        inputs.append("on:bool[]")
    nodes = [conv("stem", "image", "x", weight="w"), node("Relu", "x", "outer", "pre"), odd]
    nodes = [nodes[0], nodes[2]] if "outer" not in str(odd) else nodes
    outputs = [name + {"i": ":int64", "b": ":bool", "d": ":float64"}.get(name, "") for name in odd.output]
    seen = see(model(nodes, inputs, outputs, used, opset=18))
    group = seen.group("n")
    assert group.op_type == odd.op_type
    if odd.op_type in CLASSES and group.op_class is not OpClass.FLOAT:
        assert group.op_class is CLASSES[odd.op_type]
        return
    assert group.op_class is OpClass.FLOAT
    assert seen.structure.roles["n"].role == "float"
    assert seen.constants("n") == []
    assert seen.reads("n")


def test_operators_on_integers_alone_are_no_groups():
    nodes = [
        node("OneHot", "i depth values", "hot", "hot"),
        node("Range", "zero n one", "r", "range"),
        node("Cast", "r", "f", "cast", to=onnx.TensorProto.FLOAT),
        node("Mul", "hot f", "y", "mul"),
    ]
    constants = {
        "depth": np.array(4),
        "values": np.array([0, 1], np.float32),
        "zero": np.array(0),
        "n": np.array(4),
        "one": np.array(1),
    }
    seen = see(model(nodes, ["i:int64[N]"], ["y"], constants))
    assert [group.name for group in seen.network.groups] == ["mul"]
    assert seen.tensor("hot").writer is None


def test_boxes_picked_by_non_max_suppression_go_through():
    nodes = [
        node("Sigmoid", "scores", "s", "sig"),
        node("NonMaxSuppression", "boxes s n iou", "picked", "nms"),
        node("Slice", "picked from to axis", "column", "slice"),
        node("Cast", "column", "f", "cast", to=onnx.TensorProto.FLOAT),
        node("Shape", "picked", "shape", "shape"),
        node("Cast", "shape", "g", "cast2", to=onnx.TensorProto.FLOAT),
        node("ReduceSum", "g", "total", "sum"),
        node("Mul", "f total", "y", "mul"),
    ]
    constants = {
        "n": np.array([5]),
        "iou": np.array([0.5], np.float32),
        "from": np.array([2]),
        "to": np.array([3]),
        "axis": np.array([1]),
    }
    seen = see(model(nodes, ["boxes[1,20,4]", "scores[1,1,20]"], ["y"], constants))
    assert seen.group("nms").op_class is OpClass.FLOAT
    assert seen.group("nms").outputs == ()
    assert seen.structure.roles["cast2"].why == "brings integers to float", "a count that depends on data is data"


def test_subgraphs_show_what_they_read_of_the_graph_and_not_what_they_read_of_each_other():
    nodes = [
        node("Relu", "x", "outer", "relu"),
        node("Neg", "x", "start", "neg"),
        node("Loop", "count on start", "y z", "loop", body=loop_body()),
    ]
    seen = see(model(nodes, ["x[1,4,8,8]"], ["y", "z"], {"count": np.array(2), "on": np.array(True)}, opset=18))
    slots = [(seen.network.tensors[s.tensor].name, s.index) for s in seen.group("loop").inputs]
    assert slots == [("start", 2), ("outer", CAPTURED)]


def test_einsum_counts_its_products_although_it_stays_float():
    nodes = [node("Einsum", "x x2", "y", "e", equation="bhid, bhjd -> bhij")]
    seen = see(model(nodes, ["x[N,2,5,3]", "x2[N,2,7,3]"], ["y"]), batch=2)
    assert seen.group("e").macs == 2 * 5 * 7 * 3
