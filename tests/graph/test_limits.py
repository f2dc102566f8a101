from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from search.errors import InvalidModelError, UnsupportedModelError
from search.graph.limits import Limits, check_limits
from tests.builders import graph, model, node


def relu(**changes):
    return model([node("Relu", "x", "y", "r")], ["x[1]"], ["y[1]"], **changes)


def function(name, body, domain="local"):
    return helper.make_function(
        domain, name, ["a"], ["b"], body, [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    )


def call(name, x, y):
    return node(name, x, y, domain="local")


def bomb(depth):
    """Functions of two calls each: 2**depth nodes in 60 bytes per level."""
    functions = [function("f0", [node("Relu", "a", "b")])]
    functions += [
        function(f"f{i}", [call(f"f{i - 1}", "a", "t"), call(f"f{i - 1}", "t", "b")]) for i in range(1, depth + 1)
    ]
    return model([call(f"f{depth}", "x", "y")], ["x[1]"], ["y[1]"], functions=functions, domains={"local": 1})


@pytest.mark.parametrize("depth", [30, 100])
def test_functions_that_double_are_refused_at_once(depth):  # 2**100 nodes would never be counted one by one
    proto = bomb(depth)
    with pytest.raises(InvalidModelError, match=r"more than 200000 nodes .* once its local functions are expanded"):
        check_limits(proto, Limits())


def test_functions_below_the_limit_pass():
    assert check_limits(bomb(10), Limits()) == ()
    with pytest.raises(InvalidModelError, match="expanded"):
        check_limits(bomb(10), Limits(n_nodes=2**10))


def test_functions_that_call_each_other_in_a_circle_are_refused():
    functions = [function("f", [call("g", "a", "b")]), function("g", [call("f", "a", "b")])]
    proto = model([call("f", "x", "y")], ["x[1]"], ["y[1]"], functions=functions, domains={"local": 1})
    with pytest.raises(InvalidModelError, match=r"in a circle: local\.\w -> local\.\w -> local\.\w"):
        check_limits(proto, Limits())


def test_calls_inside_subgraphs_are_counted():
    body = graph([call("f12", "x", "b")], [], ["b[1]"])
    proto = bomb(12)
    proto.graph.node.append(node("If", "c", "z", then_branch=body, else_branch=body))
    with pytest.raises(InvalidModelError, match="expanded"):
        check_limits(proto, Limits(n_nodes=2**14))


def test_a_function_that_is_defined_twice_is_refused():
    body = function("f", [node("Relu", "a", "b")])
    proto = model([call("f", "x", "y")], ["x[1]"], ["y[1]"], functions=[body, body], domains={"local": 1})
    with pytest.raises(InvalidModelError, match=r"local\.f is defined twice"):
        check_limits(proto, Limits())


@pytest.mark.parametrize(
    ("made", "constants"),
    [
        (node("ConstantOfShape", "s", "y", "big"), {"s": np.array([10**12])}),
        (node("ConstantOfShape", "s", "y", "big"), {"s": np.array([2**62, 2**62])}),
        (node("Expand", "x s", "y", "big"), {"s": np.array([10**6, 10**6])}),
        (node("Tile", "x s", "y", "big"), {"s": np.array([10**12])}),
        (node("Range", "a b c", "y", "big"), {"a": np.array(0), "b": np.array(10**12), "c": np.array(1)}),
        (node("RandomNormal", "", "y", "big", shape=[10**6, 10**6]), {}),
        (node("RandomUniform", "", "y", "big", shape=[10**6, 10**6]), {}),
    ],
)
def test_twenty_bytes_cannot_declare_a_terabyte(made, constants):
    proto = model([made], ["x[1]"], ["y"], constants)
    with pytest.raises(InvalidModelError, match=r"'big' would create \d+ elements; the limit is 268435456"):
        check_limits(proto, Limits())


def test_sizes_from_constant_nodes_are_seen():
    size = helper.make_tensor("v", 7, [1], [10**12])
    proto = model([node("Constant", "", "s", value=size), node("ConstantOfShape", "s", "y")], ["x[1]"], ["y"])
    with pytest.raises(InvalidModelError, match="would create 1000000000000 elements"):
        check_limits(proto, Limits())


def loop(trips="", condition="", **constants):
    body = graph(
        [node("Identity", "c", "c_out"), node("Relu", "v", "v_out")],
        ["i:int64[]", "c:bool[]", "v[1]"],
        ["c_out:bool[]", "v_out[1]"],
    )
    return model([node("Loop", [trips, condition, "x"], "y", "spin", body=body)], ["x[1]"], ["y[1]"], constants)


def test_a_loop_without_an_end_is_refused():
    with pytest.raises(InvalidModelError, match=r"Loop 'spin' has no trip count and no condition, so it never ends"):
        check_limits(loop(), Limits())


def test_a_loop_of_too_many_trips_is_refused():
    with pytest.raises(InvalidModelError, match=r"Loop 'spin' runs 1000000000 times; the limit is 1000000"):
        check_limits(loop("n", n=np.array(10**9)), Limits())


def test_loops_are_reported():
    (note,) = check_limits(loop("n", n=np.array(3)), Limits())
    assert (note.code, note.nodes) == ("subgraphs", ("spin",))
    assert "1 Loop" in note.text


def test_deep_nesting_is_refused():
    inner = graph([node("Relu", "x", "b")], [], ["b"])
    for _ in range(20):
        inner = graph([node("If", "c", "b", "deep", then_branch=inner, else_branch=inner)], [], ["b"])
        del inner.node[0].attribute[1:]
    proto = model([node("If", "c", "y", then_branch=inner, else_branch=inner)], ["x[1]", "c:bool[]"], ["y[1]"])
    with pytest.raises(InvalidModelError, match="graphs deep; the limit is 16"):
        check_limits(proto, Limits())


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (node("Steal", "x", "y", "bad", domain="evil.corp"), "'bad' belongs to domain 'evil.corp'"),
        (node("Adam", "x", "y", "bad", domain="ai.onnx.preview.training"), "belongs to domain"),
        (node("EPContext", "x", "y", "bad", domain="com.microsoft"), "'bad' holds a compiled network"),
        (node("EPContext", "x", "y", "bad"), "'bad' holds a compiled network"),
        (node("Tokenizer", "x", "y", "bad", domain="com.microsoft"), "not among the operators"),
        (node("Rulu", "x", "y", "bad"), "Rulu 'bad' is no operator of ai.onnx opset 17"),
        (node("Upsample", "x s", "y", "bad"), "no longer exists at opset 17"),
    ],
)
def test_operators_that_are_not_listed_are_refused(made, text):
    proto = model([made], ["x[1]"], ["y[1]"], {"s": np.ones(1)}, domains={"evil.corp": 1, "com.microsoft": 1})
    with pytest.raises(UnsupportedModelError, match=text):
        check_limits(proto, Limits())


def test_a_part_of_com_microsoft_is_allowed():
    proto = model([node("Gelu", "x", "y", domain="com.microsoft")], ["x[1]"], ["y[1]"], domains={"com.microsoft": 1})
    assert check_limits(proto, Limits()) == ()


def test_long_names_are_refused():
    with pytest.raises(InvalidModelError, match="has 5000 characters; the limit is 4096"):
        check_limits(model([node("Relu", "x", "y", "n" * 5000)], ["x[1]"], ["y[1]"]), Limits())


@pytest.mark.parametrize("name", ["line\nbreak", "nul\0", "\x1b[31mred"])
def test_control_characters_in_names_are_refused(name):
    with pytest.raises(InvalidModelError, match="control characters"):
        check_limits(model([node("Relu", "x", "y", name)], ["x[1]"], ["y[1]"]), Limits())


def test_names_that_are_not_utf8_are_refused():
    data = model([node("Relu", "x", "y", "AAAA")], ["x[1]"], ["y[1]"]).SerializeToString()
    proto = type(relu()).FromString(data.replace(b"AAAA", b"\xff\xfeAA"))
    with pytest.raises(InvalidModelError, match="not UTF-8"):
        check_limits(proto, Limits())


def test_names_in_other_scripts_pass():
    assert check_limits(model([node("Relu", "x", "y", "层/卷积 ü")], ["x[1]"], ["y[1]"]), Limits()) == ()


def test_sparse_weights_are_refused():
    proto = relu()
    proto.graph.sparse_initializer.add()
    with pytest.raises(UnsupportedModelError, match="sparse initializers"):
        check_limits(proto, Limits())


def test_two_initializers_of_one_name_are_refused():
    proto = model([node("Add", "x w", "y")], ["x[1]"], ["y[1]"], {"w": np.ones(1)})
    proto.graph.initializer.append(proto.graph.initializer[0])
    with pytest.raises(InvalidModelError, match=r"two initializers.*'w'"):
        check_limits(proto, Limits())


def test_two_versions_of_the_operator_set_are_refused():
    proto = relu()
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 13))
    with pytest.raises(InvalidModelError, match=r"versions \[13, 17\]"):
        check_limits(proto, Limits())
