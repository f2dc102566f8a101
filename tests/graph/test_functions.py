from __future__ import annotations

import onnx
import pytest
from onnx import helper

from search.errors import UnsupportedModelError
from search.graph.passes.functions import inline_functions
from tests.builders import assert_same_outputs, graph, model, node


def function(name, body, opset=21):
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("pkg", 1)]
    return helper.make_function("pkg", name, ["a"], ["b"], body, imports)


BLOCK = function("Block", [node("Neg", "a", "t", "n0"), node("Relu", "t", "b")])
OUTER = function("Outer", [node("Block", "a", "t", "inner", domain="pkg"), node("Exp", "t", "b", "n1")])


def inlined(nodes, functions=(BLOCK, OUTER), inputs=("x[3]",), outputs=("y[3]",)):
    before = model(nodes, inputs, outputs, opset=21, functions=functions, domains={"pkg": 1})
    after, changes = inline_functions(before)
    assert not after.functions
    assert [o.domain for o in after.opset_import] == [""]
    onnx.checker.check_model(after, full_check=True)
    assert_same_outputs(before, after, tolerance=0)
    return after, changes


def test_a_call_becomes_its_nodes_under_the_name_of_the_call():
    after, changes = inlined([node("Block", "x", "t", "layer1", domain="pkg"), node("Neg", "t", "y", "neg")])
    assert [n.name for n in after.graph.node] == ["layer1/n0", "layer1/Relu", "neg"]
    assert changes.fates["layer1"].into == "layer1/Relu"


def test_two_calls_do_not_share_names():
    after, _ = inlined([node("Block", "x", "t", "l1", domain="pkg"), node("Block", "t", "y", "l2", domain="pkg")])
    names = [n.name for n in after.graph.node]
    assert len(set(names)) == 4
    assert [name.split("/")[0] for name in names] == ["l1", "l1", "l2", "l2"]


def test_functions_in_functions_are_expanded():
    after, changes = inlined([node("Outer", "x", "y", "net", domain="pkg")])
    assert [n.op_type for n in after.graph.node] == ["Neg", "Relu", "Exp"]
    assert all(n.name.startswith("net/") for n in after.graph.node)
    assert list(changes.fates) == ["net"]


def test_calls_in_subgraphs_are_expanded():
    body = graph([node("Block", "x", "b", "call", domain="pkg")], [], ["b[3]"])
    inlined([node("If", "c", "y", "if", then_branch=body, else_branch=body)], inputs=("x[3]", "c:bool[]"))


def test_a_model_without_functions_is_returned_as_it_is():
    before = model([node("Relu", "x", "y", "r")], ["x[3]"], ["y[3]"])
    after, changes = inline_functions(before)
    assert after is before
    assert not changes.modified


def test_a_function_of_another_opset_is_refused():
    old = function("Block", [node("Relu", "a", "b")], opset=17)
    before = model([node("Block", "x", "y", "c", domain="pkg")], ["x[3]"], ["y[3]"], opset=21, functions=[old])
    before.opset_import.append(helper.make_opsetid("pkg", 1))
    with pytest.raises(UnsupportedModelError, match=r"cannot be expanded: .*Export the model without local functions"):
        inline_functions(before)
