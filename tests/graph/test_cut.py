from __future__ import annotations

import numpy as np
import pytest

from search.graph.cut import ranking_values
from tests.builders import graph, model, node
from tests.graph.graphs import normal_form, traced

TWO = {"two": np.array([2]), "one": np.array([1]), "zero": np.array([0])}


def ranking(nodes, inputs, outputs, constants=TWO):
    used = {name for n in nodes for name in n.input}
    model_ = normal_form(model(nodes, inputs, outputs, {k: v for k, v in constants.items() if k in used}))
    traced(model_, 1)
    return ranking_values(model_.graph)


def test_an_output_without_such_an_operator_ranks_itself():
    nodes = [node("Sigmoid", "x", "y", "s"), node("Softmax", "x", "z", "p")]
    assert ranking(nodes, ["x[N,4]"], ["y", "z"]) == {"y": ("y",), "z": ("z",)}


@pytest.mark.parametrize(
    ("last", "outputs"),
    [
        (node("TopK", "p two", "v i", "n"), ["v", "i:int64"]),
        (node("ArgMax", "p", "i", "n"), ["i:int64"]),
        (node("ArgMin", "p", "i", "n"), ["i:int64"]),
        (node("Hardmax", "p", "v", "n"), ["v"]),
        (node("NonZero", "p", "i", "n"), ["i:int64"]),
    ],
)
def test_the_cut_is_right_in_front_of_the_operator_and_keeps_the_saturating_function(last, outputs):
    found = ranking([node("Softmax", "x", "p", "softmax"), last], ["x[N,4]"], outputs)
    assert found == {name.split(":")[0]: ("p",) for name in outputs}


def test_what_is_picked_with_an_index_is_ranked_before_the_picking():
    nodes = [
        node("Sigmoid", "scores", "s", "sig"),
        node("Exp", "raw", "boxes", "exp"),
        node("NonMaxSuppression", "boxes s two", "picked", "nms"),
        node("Slice", "picked from to one", "index", "slice"),
        node("Reshape", "index flat", "index1", "reshape"),
        node("Gather", "boxes index1", "chosen", "gather", axis=1),
        node("Mul", "chosen chosen", "y", "mul"),
    ]
    constants = {**TWO, "from": np.array([2]), "to": np.array([3]), "flat": np.array([-1])}
    found = ranking(nodes, ["raw[1,20,4]", "scores[1,1,20]"], ["y", "s"], constants)
    assert set(found["y"]) == {"boxes", "s"}
    assert found["s"] == ("s",), "read by the suppression, but not behind it"


def test_an_unstable_operator_in_a_subgraph_and_one_that_it_reads_are_seen():
    inner = [
        graph([node("TopK", "x two", f"{v} {v}i"), node("Neg", v, out)], [], [f"{out}[N,2]"], name=out)
        for v, out in (("a", "t"), ("b", "e"))
    ]
    nodes = [node("If", "on", "y", "if", then_branch=inner[0], else_branch=inner[1])]
    proto = model(nodes, ["x[N,4]", "on:bool[]"], ["y"], {"two": np.array([2])})
    model_ = normal_form(proto)
    traced(model_, 1)
    assert ranking_values(model_.graph) == {"y": ("x",)}


def test_values_that_depend_on_shapes_only_rank_nothing():
    nodes = [
        node("Shape", "x", "s", "shape"),
        node("Cast", "s", "f", "cast", to=1),
        node("ReduceProd", "f", "prod", "prod", keepdims=0),
        node("TopK", "x two", "v i", "topk"),
        node("Mul", "v prod", "y", "mul"),
    ]
    assert ranking(nodes, ["x[N,4]"], ["y"]) == {"y": ("x",)}


def test_an_output_of_integers_alone_ranks_nothing():
    nodes = [node("Sigmoid", "x", "y", "s"), node("Add", "i one", "j", "add"), node("ArgMax", "i", "k", "argmax")]
    assert ranking(nodes, ["x[N,4]", "i:int64[N,4]"], ["y", "j:int64", "k:int64"]) == {"y": ("y",), "j": (), "k": ()}
