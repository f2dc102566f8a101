from __future__ import annotations

import numpy as np
import onnx_ir as ir

from search.graph.data_free import data_free_values
from search.graph.shape_values import fold_shape_values, shape_values
from tests.builders import assert_same_outputs, conv, graph, model, node
from tests.graph.graphs import RNG, normal_form, see, traced


def free_names(proto):
    model_ = normal_form(proto)
    return {value.name for value in data_free_values(model_.graph)}


def folded(proto, batches=(1, 2)):
    """The model with shape values folded, and what was removed."""
    model_ = normal_form(proto)
    names = shape_values(model_.graph)
    runs = [{name: run[name] for name in names} for run in (traced(model_, n, n) for n in batches)]
    removed = fold_shape_values(model_.graph, runs)
    return model_, removed


def scaled():
    """x / sqrt(size of the last axis), as exporters write it."""
    nodes = [
        node("Shape", "x", "s", "shape"),
        node("Gather", "s last", "d", "gather"),
        node("Cast", "d", "f", "cast", to=1),
        node("Sqrt", "f", "r", "sqrt"),
        node("Div", "x r", "y", "div"),
    ]
    return model(nodes, ["x[N,C]"], ["y"], {"last": np.array(1)})


def test_a_value_that_is_the_same_in_both_runs_becomes_a_constant():
    proto = model(list(scaled().graph.node), ["x[N,7]"], ["y"], {"last": np.array(1)})
    model_, removed = folded(proto)
    assert [n.name for n in model_.graph] == ["div"]
    assert set(removed) >= {"sqrt", "cast"}
    assert_same_outputs(proto, ir.to_proto(model_), batch=3)


def test_a_folded_scalar_stays_a_scalar():
    model_, _ = folded(model(list(scaled().graph.node), ["x[7]"], ["y"], {"last": np.array(0)}), (1, 1))
    (value,) = [v for v in model_.graph.initializers.values() if "folded" in (v.name or "")]
    assert tuple(value.const_value.shape) == tuple(value.shape) == ()


def test_a_value_in_which_the_batch_size_shows_stays_computed():
    nodes = [
        node("Shape", "x", "s", "shape"),
        node("Gather", "s first", "n", "gather"),
        node("Cast", "n", "f", "cast", to=1),
        node("Mul", "x f", "y", "mul"),
    ]
    proto = model(nodes, ["x[N,7]"], ["y"], {"first": np.array(0)})
    model_, removed = folded(proto)
    assert [n.name for n in model_.graph] == ["shape", "gather", "cast", "mul"]
    assert removed == ()
    assert_same_outputs(proto, ir.to_proto(model_), batch=3)


def test_a_shape_value_that_is_a_model_output_stays():
    nodes = [
        node("Shape", "x", "s", "shape", start=1),
        node("Reshape", "x t", "y", "r"),
        node("Concat", "m s", "t", "c", axis=0),
    ]
    proto = model([nodes[0], nodes[2], nodes[1]], ["x[N,7]"], ["y", "s:int64"], {"m": np.array([-1])})
    model_, _ = folded(proto)
    assert {"shape", "r"} <= {n.name for n in model_.graph}
    assert_same_outputs(proto, ir.to_proto(model_), batch=3)


def test_a_value_read_in_a_subgraph_is_folded_there_too():
    inner = [graph([node(op, "x r", out)], [], [f"{out}[N,7]"], name=op) for op, out in (("Div", "t"), ("Mul", "e"))]
    nodes = [*scaled().graph.node][:4]
    nodes.append(node("If", "on", "y", "if", then_branch=inner[0], else_branch=inner[1]))
    proto = model(nodes, ["x[N,7]", "on:bool[]"], ["y"], {"last": np.array(1)})
    model_, removed = folded(proto)
    assert [n.name for n in model_.graph] == ["if"]
    assert "sqrt" in removed
    assert_same_outputs(proto, ir.to_proto(model_), batch=3)


def test_counts_that_data_decides_are_data():
    nodes = [
        node("NonZero", "x", "i", "nonzero"),
        node("Shape", "i", "count", "shape"),
        node("Gather", "count last", "n", "gather"),
        node("Reshape", "x n2", "z", "reshape"),
        node("Shape", "z", "zs", "shape2"),
        node("Cast", "zs", "f", "cast", to=1),
        node("ReduceSum", "f", "total", "sum"),
        node("Mul", "x total", "y", "mul"),
    ]
    nodes.insert(3, node("Concat", "n minus", "n2", "concat", axis=0))
    proto = model(nodes, ["x[1,6]"], ["y"], {"last": np.array([1]), "minus": np.array([-1])})
    assert free_names(proto) == set()


def test_shapes_of_data_are_known_before_the_data():
    nodes = [
        conv("c", "x", "a", weight="w"),
        node("TopK", "a two", "v i", "topk"),
        node("Shape", "v", "s", "shape"),
        node("Size", "i", "n", "size"),
        node("ConstantOfShape", "s", "zeros", "zeros"),
        node("Add", "v zeros", "y", "add"),
    ]
    proto = model(nodes, ["x[N,3,8,8]"], ["y", "n:int64"], {"w": RNG.normal(size=(4, 3, 3, 3)), "two": np.array([2])})
    assert free_names(proto) == {"s", "n", "zeros"}


def test_a_subgraph_that_reads_data_is_data_whatever_its_type():
    inner = [
        graph([node(op, "ids", out)], [], [f"{out}:int64[N]"], name=op) for op, out in (("Neg", "t"), ("Abs", "e"))
    ]
    nodes = [
        node("Shape", "ids", "s", "shape"),
        node("Gather", "s zero", "n", "gather"),
        node("Equal", "n one", "on", "equal"),
        node("If", "on", "j", "if", then_branch=inner[0], else_branch=inner[1]),
        node("Cast", "j", "y", "cast", to=1),
    ]
    proto = model(nodes, ["ids:int64[N]"], ["y"], {"zero": np.array(0), "one": np.array(1)})
    assert free_names(proto) == {"s", "n", "on"}


def test_groups_after_folding_show_no_shape_arithmetic():
    proto = model(list(scaled().graph.node), ["x[N,7]"], ["y"], {"last": np.array(1)})
    seen = see(proto, fold=True)
    assert seen.summary == [("Div", "div")]
    assert seen.reads("div")[0][0] == "x"
    assert len(seen.reads("div")) == 1
