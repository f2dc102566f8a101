"""Lowering against ONNX Runtime: the same numbers at the opset that is reached, and no lower one says it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from search.graph.limits import opset_of
from search.graph.lower_opset import at_opset, lowest_opset
from tests.builders import model, run

X = ["x:float32[2,3,8,8]"]
RNG = np.random.default_rng(3)


def node(op_type: str, inputs: list[str], outputs: list[str] | None = None, **attributes) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs, outputs or ["y"], name=f"n_{(outputs or ['y'])[0]}", **attributes)


def quantized(kind: type) -> onnx.ModelProto:
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=0),
        node("Conv", ["d", "wd"]),
    ]
    constants = {
        "s": np.float32(0.1),
        "z": np.zeros((), kind),
        "w": RNG.integers(-100, 100, (4, 3, 1, 1)).astype(kind),
        "ws": np.full(4, 0.01, np.float32),
        "wz": np.zeros(4, kind),
    }
    return model(nodes, X, ["y"], constants, opset=21)


CASES = {
    "conv": (model([node("Conv", ["x", "w"])], X, ["y"], {"w": RNG.normal(size=(4, 3, 3, 3))}, opset=21), 13),
    "int8": (quantized(np.int8), 13),
    "int16": (quantized(np.int16), 21),
    "mean by axes": (model([node("ReduceMean", ["x", "a"])], X, ["y"], {"a": np.array([2, 3])}, opset=21), 13),
    "mean of all": (model([node("ReduceMax", ["x"])], X, ["y"], opset=21), 13),
    "computed axes": (
        model(
            [
                node("Shape", ["x"], ["n"]),
                node("Slice", ["n", "zero", "one"], ["a0"]),
                node("Sub", ["a0", "two"], ["a"]),
                node("ReduceMean", ["x", "a"]),
            ],
            X,
            ["y"],
            {"two": np.array([1]), "zero": np.array([0]), "one": np.array([1])},
            opset=21,
        ),
        18,
    ),
    "layer norm": (
        model([node("LayerNormalization", ["x", "g"])], X, ["y"], {"g": RNG.normal(size=8)}, opset=21),
        17,
    ),
    "gelu": (model([node("Gelu", ["x"])], X, ["y"], opset=21), 20),
    "hard swish": (model([node("HardSwish", ["x"])], X, ["y"], opset=21), 14),
    "grid": (
        model(
            [node("GridSample", ["x", "g"], mode="cubic", padding_mode="border")],
            X,
            ["y"],
            {"g": RNG.uniform(-1, 1, (2, 4, 4, 2))},
            opset=21,
        ),
        16,
    ),
    "grid by default": (
        model([node("GridSample", ["x", "g"])], X, ["y"], {"g": RNG.uniform(-1, 1, (2, 4, 4, 2))}, opset=21),
        16,
    ),
    "pool beyond the edge": (
        model([node("AveragePool", ["x"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], X, ["y"], opset=21),
        19,
    ),
    "pool with dilations": (
        model([node("AveragePool", ["x"], kernel_shape=[2, 2], dilations=[2, 2])], X, ["y"], opset=21),
        19,
    ),
    "resize": (
        model(
            [node("Resize", ["x", "", "f"], mode="linear", antialias=0)],
            X,
            ["y"],
            {"f": np.array([1, 1, 2, 2], np.float32)},
            opset=21,
        ),
        13,
    ),
    "antialias": (
        model(
            [node("Resize", ["x", "", "f"], mode="linear", antialias=1)],
            X,
            ["y"],
            {"f": np.array([1, 1, 0.5, 0.5], np.float32)},
            opset=21,
        ),
        18,
    ),
    "split": (model([node("Split", ["x"], ["y", "z"], axis=2, num_outputs=2)], X, ["y", "z"], opset=21), 18),
    "split by sizes": (
        model([node("Split", ["x", "p"], ["y", "z"], axis=2)], X, ["y", "z"], {"p": np.array([3, 5])}, opset=21),
        13,
    ),
    "wrap": (
        model([node("Pad", ["x", "p"], mode="wrap")], X, ["y"], {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, opset=21),
        19,
    ),
    "reshape": (model([node("Reshape", ["x", "s"], allowzero=0)], X, ["y"], {"s": np.array([2, -1])}, opset=21), 13),
    "zero allowed": (
        model([node("Reshape", ["x", "s"], allowzero=1)], X, ["y"], {"s": np.array([2, -1])}, opset=21),
        14,
    ),
    "runtime operator": (model([node("Gelu", ["x"])], X, ["y"], opset=21), 20),
}


@pytest.mark.parametrize("name", CASES)
def test_the_lowest_opset_says_the_same(name):
    source, lowest = CASES[name]
    before = source.SerializeToString()
    lowered = lowest_opset(source)
    assert opset_of(lowered) == lowest
    assert source.SerializeToString() == before
    data = {"x": RNG.normal(size=(2, 3, 8, 8)).astype(np.float32)}
    expected, found = run(source, data), run(lowered, data)
    assert expected.keys() == found.keys()
    for output, values in expected.items():
        np.testing.assert_array_equal(found[output], values)


def test_a_file_of_an_old_opset_has_an_old_format_version():
    assert lowest_opset(CASES["conv"][0]).ir_version == 7


def test_axes_that_became_an_attribute_leave_no_initializer_behind():
    assert not lowest_opset(CASES["mean by axes"][0]).graph.initializer


def test_axes_that_something_else_reads_stay():
    source = model(
        [node("ReduceMean", ["x", "a"], ["m"]), node("Unsqueeze", ["m", "a"])], X, ["y"], {"a": np.array([3])}, opset=21
    )
    lowered = lowest_opset(source)
    assert opset_of(lowered) == 13
    assert [tensor.name for tensor in lowered.graph.initializer] == ["a"]


def test_what_a_subgraph_needs_counts():
    branch = helper.make_graph([node("Gelu", ["x"], ["t"])], "b", [], [helper.make_tensor_value_info("t", 1, None)])
    other = helper.make_graph([node("Identity", ["x"], ["e"])], "b", [], [helper.make_tensor_value_info("e", 1, None)])
    choose = node("If", ["c"], then_branch=branch, else_branch=other)
    assert opset_of(lowest_opset(model([choose], ["c:bool[]", *X], ["y"], opset=21))) == 20


def test_an_opset_that_has_no_words_gives_nothing_and_a_higher_one_the_model():
    gelu = CASES["gelu"][0]
    assert at_opset(gelu, 19) is None
    assert at_opset(gelu, 21) is gelu
    conv = at_opset(CASES["conv"][0], 17)
    assert conv is not None
    assert opset_of(conv) == 17
