from __future__ import annotations

import numpy as np
import onnx
import pytest

from search.graph.fusion import Fusion
from search.graph.network import OpClass, SlotKind
from tests.builders import batch_norm, batch_norm_constants, conv, graph, model, node
from tests.graph.graphs import RNG, see

W = {"w": RNG.normal(size=(4, 3, 3, 3)), "v": RNG.normal(size=(4, 4, 1, 1)), "u": RNG.normal(size=(4, 4, 1, 1))}
X = ["x[N,3,8,8]"]


def stem(out="a"):
    return conv("stem", "x", out, weight="w", pads=[1, 1, 1, 1])


def test_a_conv_takes_its_norm_the_shortcut_and_the_relu():
    nodes = [
        stem(),
        node("Relu", "a", "b", "r1"),
        conv("c", "b", "d", weight="v"),
        batch_norm("bn", "d", "e", "bn"),
        node("Add", "b e", "f", "add"),
        node("Clip", ["f", "zero", "six"], "y", "relu6"),
    ]
    constants = {**W, **batch_norm_constants("bn", 4, RNG), "zero": np.float32(0), "six": np.float32(6)}
    seen = see(model(nodes, X, ["y"], constants))
    assert seen.summary == [("Conv", "stem", "r1"), ("Conv", "c", "add", "relu6")]
    assert seen.reads("c") == [("b", SlotKind.ACTIVATION), ("b", SlotKind.SUM_IN)]
    assert seen.network.outputs == ("y",)
    assert seen.network.feeds_only_outputs == (False, True)


def test_what_a_runtime_does_not_join_is_a_group_of_its_own():
    nodes = [
        stem(),
        conv("c", "a", "b", weight="v"),
        node("Add", "b a", "d", "add"),
        node("Relu", "d", "e", "relu"),
        conv("last", "e", "f", weight="u"),
        node("Clip", ["f", "zero", "six"], "y", "relu6"),
    ]
    proto = model(nodes, X, ["y"], {**W, "zero": np.float32(0), "six": np.float32(6)})
    assert see(proto).summary == [("Conv", "stem"), ("Conv", "c", "add", "relu"), ("Conv", "last", "relu6")]
    apart = see(proto, fusion=Fusion(sum_into=frozenset({"MatMul"}), after_sum=frozenset({"Relu"})))
    assert apart.summary == [("Conv", "stem"), ("Conv", "c"), ("Add", "add", "relu"), ("Conv", "last", "relu6")]
    assert apart.reads("add") == [("b", SlotKind.ACTIVATION), ("a", SlotKind.ACTIVATION)]
    bare = see(proto, fusion=Fusion(sum_into=frozenset(), after_gemm=frozenset(), after_sum=frozenset({"Clip"})))
    assert [one[1:] for one in bare.summary] == [("stem",), ("c",), ("add",), ("relu",), ("last",), ("relu6",)]


def test_a_relu_whose_bounds_are_computed_joins_no_sum():
    nodes = [node("Add", "x z", "s", "add"), node("Clip", ["s", "low"], "y", "clip")]
    seen = see(model(nodes, ["x[N,3]", "z[N,3]", "low[]"], ["y"]), fusion=Fusion(after_sum=frozenset({"Clip"})))
    assert [one[1:] for one in seen.summary] == [("add",), ("clip",)]


def test_a_bias_written_as_an_add_belongs_to_its_gemm_and_is_no_point():
    nodes = [node("MatMul", "x k", "a", "mm"), node("Add", "b a", "c", "bias"), node("Relu", "c", "y", "relu")]
    seen = see(model(nodes, ["x[N,5,3]"], ["y"], {"k": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4)}))
    assert seen.summary == [("MatMul", "mm", "bias", "relu")]
    assert seen.constants("mm") == [("k", "weight", 1)]
    assert seen.group("mm").elements == 2 * 5 * 4, "the bias starts the accumulator"


def test_a_linear_layer_costs_the_same_as_gemm_and_as_matmul_with_bias():
    constants = {"k": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4)}
    one = see(model([node("Gemm", "x k b", "y", "g")], ["x[N,3]"], ["y"], constants)).group("g")
    nodes = [node("MatMul", "x k", "a", "g"), node("Add", "a b", "y", "bias")]
    two = see(model(nodes, ["x[N,3]"], ["y"], constants)).group("g")
    assert (one.macs, one.elements) == (two.macs, two.elements) == (12, 4)


@pytest.mark.parametrize("shape", [(8,), (1, 4, 8, 8), (8, 8), (2, 1, 4, 1, 1)])
def test_an_added_constant_that_is_no_bias_is_a_group_of_its_own(shape):
    nodes = [stem(), node("Add", "a b", "y", "add")]
    seen = see(model(nodes, X, ["y"], {**W, "b": RNG.normal(size=shape)}))
    assert seen.summary == [("Conv", "stem"), ("Add", "add")]
    assert seen.constants("add") == [("b", "operand", None)]


def test_a_bias_of_one_number_per_channel_is_taken_in_whatever_its_rank():
    for shape in ((4, 1, 1), (1, 4, 1, 1), (1,), ()):
        nodes = [stem(), node("Add", "a b", "y", "add")]
        assert see(model(nodes, X, ["y"], {**W, "b": RNG.normal(size=shape)})).summary == [("Conv", "stem", "add")]


def test_what_is_added_per_row_is_no_bias():
    nodes = [conv("c", "x", "a", weight="w", bias="b"), node("Add", "a b2", "y", "add")]
    constants = {**W, "b": RNG.normal(size=4), "b2": RNG.normal(size=(1, 6, 1))}
    assert see(model(nodes, X, ["y"], constants)).summary == [("Conv", "c"), ("Add", "add")]


def test_where_both_addends_are_gemms_the_later_one_takes_the_add():
    nodes = [
        stem(),
        conv("long", "a", "b", weight="v"),
        conv("short", "a", "c", weight="u"),
        node("Add", "b c", "d", "add"),
        node("Relu", "d", "y", "relu"),
    ]
    seen = see(model(nodes, X, ["y"], W))
    assert seen.summary == [("Conv", "stem"), ("Conv", "long"), ("Conv", "short", "add", "relu")]
    assert seen.reads("short") == [("a", SlotKind.ACTIVATION), ("b", SlotKind.SUM_IN)]


def test_the_earlier_gemm_takes_the_add_where_the_later_one_is_read_elsewhere():
    nodes = [
        stem(),
        conv("long", "a", "b", weight="v"),
        conv("short", "a", "c", weight="u"),
        node("Add", "b c", "y", "add"),
        node("Sigmoid", "c", "z", "other"),
    ]
    seen = see(model(nodes, X, ["y", "z"], W))
    assert ("Conv", "long", "add") in seen.summary
    assert ("Conv", "short") in seen.summary
    assert seen.reads("long") == [("a", SlotKind.ACTIVATION), ("c", SlotKind.SUM_IN)]


def test_nothing_is_fused_across_a_model_output_or_a_second_reader():
    nodes = [stem(), node("Relu", "a", "y", "relu")]
    assert see(model(nodes, X, ["a", "y"], W)).summary == [("Conv", "stem"), ("Relu", "relu")]
    nodes = [stem(), node("Relu", "a", "y", "relu"), node("Exp", "a", "z", "exp")]
    assert see(model(nodes, X, ["y", "z"], W)).summary == [("Conv", "stem"), ("Relu", "relu"), ("Exp", "exp")]


def test_only_one_add_and_one_activation_are_taken_in():
    nodes = [
        stem(),
        conv("c", "a", "b", weight="v"),
        node("Add", "b a", "d", "add1"),
        node("Add", "d a", "e", "add2"),
        node("Relu", "e", "f", "relu1"),
    ]
    seen = see(model(nodes, X, ["f"], W))
    assert seen.summary == [("Conv", "stem"), ("Conv", "c", "add1"), ("Add", "add2"), ("Relu", "relu1")]
    nodes = [stem(), node("Relu", "a", "b", "r"), node("Clip", ["b", "zero"], "y", "clip")]
    seen = see(model(nodes, X, ["y"], {**W, "zero": np.float32(0.5)}))
    assert seen.summary == [("Conv", "stem", "clip")]  # both bounds were joined before


def test_a_broadcast_sum_and_a_value_added_to_itself_are_not_fused():
    nodes = [stem(), node("GlobalAveragePool", "a", "p", "pool"), conv("c", "a", "b", weight="v")]
    seen = see(model([*nodes, node("Add", "b p", "y", "add")], X, ["y"], W))
    assert ("Add", "add") in seen.summary
    seen = see(model([stem(), node("Add", "a a", "y", "twice")], X, ["y"], W))
    assert seen.summary == [("Conv", "stem"), ("Add", "twice")]


def test_what_depends_on_shapes_only_is_not_summed_in():
    nodes = [
        node("MatMul", "x k", "a", "mm"),
        node("Shape", "a", "s", "shape"),
        node("Expand", "p s", "e", "expand"),
        node("Add", "a e", "y", "add"),
    ]
    seen = see(model(nodes, ["x[N,5,3]"], ["y"], {"k": RNG.normal(size=(3, 4)), "p": RNG.normal(size=(5, 4))}))
    assert seen.summary == [("MatMul", "mm"), ("Add", "add")]
    assert seen.tensor("e").writer is None


def test_a_relu_inside_a_subgraph_is_not_fused_with_the_gemm_outside():
    inner = graph([node("Relu", "a", "i")], [], ["i[N,4,8,8]"], name="then")
    other = graph([node("Neg", "x4", "j")], [], ["j[N,4,8,8]"], name="else")
    nodes = [
        node("Relu", "x4", "x5", "pre"),
        conv("c", "x5", "a", weight="v"),
        node("If", "yes", "y", "choice", then_branch=inner, else_branch=other),
    ]
    seen = see(model(nodes, ["x4[N,4,8,8]", "yes:bool[]"], ["y"], W))
    assert ("Conv", "c") in seen.summary
    assert ("If", "choice") in seen.summary
    choice = seen.group("choice")
    assert choice.op_class is OpClass.FLOAT
    assert {seen.network.tensors[slot.tensor].name for slot in choice.inputs} == {"a", "x4"}


def test_matmul_of_two_activations_has_a_second_input():
    nodes = [
        node("Transpose", "x", "t", "t", perm=[0, 2, 1]),
        node("MatMul", "x t", "s", "scores"),
        node("Mul", "s half", "h", "scale"),
        node("Softmax", "h", "p", "softmax"),
        node("MatMul", "p x", "y", "mix"),
    ]
    seen = see(model(nodes, ["x[N,5,3]"], ["y"], {"half": np.float32(0.5)}))
    assert [name for _, name in seen.summary] == ["scores", "scale", "softmax", "mix"]
    assert seen.reads("scores") == [("x", SlotKind.ACTIVATION), ("x", SlotKind.SECOND)]
    assert seen.reads("mix") == [("p", SlotKind.ACTIVATION), ("x", SlotKind.SECOND)]
    assert seen.constants("scale") == [], "one number is no point"
    assert [group.macs for group in seen.network.groups] == [75, 0, 0, 75]


def test_a_product_with_a_constant_per_row_behind_a_conv_stays_a_group_with_its_operand():
    nodes = [stem(), node("Mul", "a f", "y", "mul")]
    seen = see(model(nodes, X, ["y"], {**W, "f": RNG.normal(size=(1, 1, 8, 1))}))
    assert seen.summary == [("Conv", "stem"), ("Mul", "mul")]
    assert seen.constants("mul") == [("f", "operand", None)]


AXES = [
    (node("Gemm", "x k", "y", "g"), "x[N,3]", (3, 4), 1),
    (node("Gemm", "x k", "y", "g", transB=1), "x[N,3]", (4, 3), 0),
    (node("Gemm", "k x", "y", "g"), "x[3,N]", (4, 3), 0),
    (node("Gemm", "k x", "y", "g", transA=1), "x[3,N]", (3, 4), 1),
    (node("Gemm", "k x bias", "y", "g"), "x[3,4]", (4, 3), None),
    (node("MatMul", "x k", "y", "g"), "x[N,5,3]", (3, 4), 1),
    (node("MatMul", "x k", "y", "g"), "x[N,2,5,3]", (2, 3, 4), 2),
    (node("MatMul", "k x", "y", "g"), "x[N,3,5]", (4, 3), 0),
    (node("MatMul", "x k", "y", "g"), "x[N,5,3]", (3,), None),
    (conv("g", "x", "y", weight="k", group=3), "x[N,3,8,8]", (6, 1, 3, 3), 0),
    (conv("g", "x", "y", weight="k"), "x[N,3,8]", (6, 3, 3), 0),
    (conv("g", "x", "y", weight="k", op_type="ConvTranspose"), "x[N,3,8,8]", (3, 5, 2, 2), 1),
]


@pytest.mark.parametrize(("operator", "data", "shape", "axis"), AXES)
def test_weights_have_their_output_channels_on_the_right_axis(operator, data, shape, axis):
    constants = {"k": RNG.normal(size=shape)}
    if "bias" in operator.input:
        constants["bias"] = RNG.normal(size=4)
    seen = see(model([operator], [data], ["y"], constants))
    assert seen.constants("g") == [("k", "weight", axis)]
    assert seen.reads("g") == [("x", SlotKind.ACTIVATION)]


@pytest.mark.parametrize(("shape", "fused"), [((4, 1), True), ((4,), False)])
def test_the_channels_of_a_constant_on_the_left_are_its_rows(shape, fused):
    nodes = [node("MatMul", "k x", "a", "mm"), node("Add", "a b", "y", "add")]
    seen = see(model(nodes, ["x[N,3,4]"], ["y"], {"k": RNG.normal(size=(4, 3)), "b": RNG.normal(size=shape)}))
    assert seen.summary == ([("MatMul", "mm", "add")] if fused else [("MatMul", "mm"), ("Add", "add")])


def test_a_conv_whose_weights_are_computed_reads_them_as_its_second_input():
    seen = see(model([node("Conv", "x k", "y", "c")], ["x[1,3,8,8]", "k[4,3,3,3]"], ["y"]))
    assert seen.reads("c") == [("x", SlotKind.ACTIVATION), ("k", SlotKind.SECOND)]
    assert seen.group("c").macs == 4 * 6 * 6 * 27


SINGLES = [
    ("Add", "x x2", OpClass.ELEMENTWISE, {}),
    ("Sub", "x x2", OpClass.ELEMENTWISE, {}),
    ("Mul", "x x2", OpClass.ELEMENTWISE, {}),
    ("Div", "x x2", OpClass.ELEMENTWISE, {}),
    ("Relu", "x", OpClass.ACTIVATION, {}),
    ("LeakyRelu", "x", OpClass.ACTIVATION, {"alpha": 0.1}),
    ("PRelu", "x slope", OpClass.ACTIVATION, {}),
    ("Clip", "x zero", OpClass.ACTIVATION, {}),
    ("Sigmoid", "x", OpClass.LUT, {}),
    ("Tanh", "x", OpClass.LUT, {}),
    ("HardSigmoid", "x", OpClass.LUT, {}),
    ("HardSwish", "x", OpClass.LUT, {}),
    ("Gelu", "x", OpClass.LUT, {}),
    ("Erf", "x", OpClass.LUT, {}),
    ("Exp", "x", OpClass.LUT, {}),
    ("Sqrt", "x", OpClass.LUT, {}),
    ("Softmax", "x", OpClass.NORM, {"axis": 1}),
    ("LayerNormalization", "x gamma", OpClass.NORM, {}),
    ("GlobalAveragePool", "x", OpClass.POOL, {}),
    ("AveragePool", "x", OpClass.POOL, {"kernel_shape": [2, 2]}),
    ("MaxPool", "x", OpClass.POOL, {"kernel_shape": [2, 2]}),
    ("ReduceMean", "x", OpClass.POOL, {}),
    ("ReduceMean", "x channels", OpClass.POOL, {}),
    ("Concat", "x x2", OpClass.MOVEMENT, {"axis": 1}),
    ("Concat", "x block", OpClass.MOVEMENT, {"axis": 1}),
    ("Pad", "x pads one", OpClass.MOVEMENT, {}),
    ("Resize", "x _ scales", OpClass.RESIZE, {"mode": "linear"}),
    ("GridSample", "x grid", OpClass.WARP, {}),
]


@pytest.mark.parametrize(("op_type", "inputs", "op_class", "attributes"), SINGLES)
def test_every_quantized_operator_has_its_class(op_type, inputs, op_class, attributes):
    constants = {
        "slope": RNG.normal(size=(4, 1, 1)),
        "zero": np.float32(0),
        "one": np.float32(1),
        "gamma": RNG.normal(size=8),
        "channels": np.array([1]),
        "block": RNG.normal(size=(1, 4, 8, 8)),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "scales": np.array([1, 1, 2, 2], np.float32),
    }
    used = {name: array for name, array in constants.items() if name in inputs.split()}
    names = {"x": "x[1,4,8,8]", "x2": "x2[1,4,8,8]", "grid": "grid[1,5,5,2]"}
    given = [text for name, text in names.items() if name in inputs.split()]
    seen = see(model([node(op_type, inputs, "y", "n", **attributes)], given, ["y"], used, opset=20))
    assert seen.group("n").op_class is op_class
    assert len(seen.reads("n")) == len(given)
    operands = [name for name in ("slope", "gamma", "block") if name in used]
    assert seen.constants("n") == [(name, "operand", None) for name in operands]
    if op_type == "GridSample":
        assert seen.reads("n") == [("x", SlotKind.FEATURE), ("grid", SlotKind.GRID)]


def test_an_embedding_reads_its_table_as_a_point_and_nothing_else():
    nodes = [node("Gather", "table ids", "e", "emb"), node("Sigmoid", "e", "y", "s")]
    seen = see(model(nodes, ["ids:int64[N,5]"], ["y"], {"table": RNG.normal(size=(60, 4))}))
    group = seen.group("emb")
    assert (group.op_class, group.inputs, group.elements) == (OpClass.EMBEDDING, (), 20)
    assert seen.constants("emb") == [("table", "operand", None)]
    assert seen.tensor("e").writer == 0


def recurrent(op_type, gates, *, inputs="x w r b _ h", outputs="s last", directions=1, extra=()):
    constants = {
        "w": RNG.normal(size=(directions, gates * 6, 3)),
        "r": RNG.normal(size=(directions, gates * 6, 6)),
        "b": RNG.normal(size=(directions, 2 * gates * 6)),
    }
    kind = "bidirectional" if directions == 2 else "forward"
    operator = node(op_type, inputs, outputs, "rnn", hidden_size=6, direction=kind)
    data = ["x[5,1,3]", f"h[{directions},1,6]", *extra]
    return see(model([operator], data, outputs.split(), constants))


def test_an_lstm_has_quantized_weights_and_a_state_in_float():
    seen = recurrent("LSTM", 4, inputs="x w r b _ h c", outputs="s last cell", extra=["c[1,1,6]"])
    group = seen.group("rnn")
    assert (group.op_class, group.is_gemm) == (OpClass.RECURRENT, True)
    assert seen.constants("rnn") == [("w", "weight", 1), ("r", "weight", 1)]
    assert seen.reads("rnn") == [("x", SlotKind.ACTIVATION), ("h", SlotKind.STATE), ("c", SlotKind.STATE)]
    assert [seen.network.tensors[t].name for t in group.outputs] == ["s", "last", "cell"]
    assert group.macs == 5 * 4 * 6 * (3 + 6)


def test_a_gru_in_both_directions_counts_both():
    seen = recurrent("GRU", 3, directions=2)
    assert seen.group("rnn").macs == 2 * 5 * 3 * 6 * (3 + 6)
    assert seen.group("rnn").op_class is OpClass.RECURRENT


def test_outputs_that_nobody_reads_are_no_tensors():
    constants = {"w": RNG.normal(size=(1, 18, 3)), "r": RNG.normal(size=(1, 18, 6))}
    nodes = [node("GRU", "x w r", "s last", "rnn", hidden_size=6), node("Tanh", "s", "y", "t")]
    seen = see(model(nodes, ["x[5,1,3]"], ["y"], constants))
    assert [tensor.name for tensor in seen.network.tensors] == ["x", "s", "y"]


def test_recurrent_weights_that_are_computed_leave_it_float():
    operator = node("GRU", "x w r", "y", "rnn", hidden_size=6)
    seen = see(model([operator], ["x[5,1,3]", "w[1,18,3]"], ["y"], {"r": RNG.normal(size=(1, 18, 6))}))
    assert seen.group("rnn").op_class is OpClass.FLOAT
    assert seen.constants("rnn") == []


def test_computed_bounds_of_a_clip_and_computed_scales_of_a_resize_are_never_quantized():
    nodes = [node("ReduceMax", "x", "m", "max", keepdims=0), node("Clip", ["x", "", "m"], "y", "clip")]
    seen = see(model(nodes, ["x[1,3,4,4]"], ["y"]))
    assert seen.group("clip").op_class is OpClass.FLOAT
    nodes = [node("Resize", "x _ s", "y", "resize", mode="linear")]
    proto = model(nodes, ["x[1,3,4,4]"], ["y"], {"s": np.array([1, 1, 2, 2], np.float32)})
    assert see(proto).group("resize").op_class is OpClass.RESIZE


def test_float64_that_float32_cannot_hold_stays_as_it_is():
    nodes = [
        node("Cast", "x", "d", "wide", to=onnx.TensorProto.DOUBLE),
        node("Mul", "d d", "e", "square"),
        node("MatMul", "e k", "f", "mm"),
        node("Cast", "f", "y", "narrow", to=onnx.TensorProto.FLOAT),
    ]
    proto = model(nodes, ["x[1,3,3]"], ["y"])
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.full((3, 3), 1e300), "k"))
    seen = see(proto)
    assert {group.op_class for group in seen.network.groups} == {OpClass.FLOAT}
    assert seen.network.constants == ()
