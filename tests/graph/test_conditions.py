"""An If whose condition is known gives way to its branch, and computes what it computed."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.graph.passes.conditions import take_known_branches
from tests.builders import assert_same_outputs, graph, model, node

ON, OFF = np.array(True), np.array(False)


def written(before):
    after = ir.from_proto(onnx.shape_inference.infer_shapes(before))
    changes = take_known_branches(after.graph)
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto, tolerance=0)
    return [(n.op_type, n.name) for n in after.graph], changes


def branch(nodes, out, constants=None, shape="N,4"):
    return graph(nodes, [], [f"{out}[{shape}]"] if isinstance(out, str) else out, constants or {}, name="body")


def one(then_branch, else_branch, *, condition=ON, outputs=("y",), after=(), inputs=("x[N,4]",)):
    nodes = [
        node("If", "on", [f"i{k}" if after else name for k, name in enumerate(outputs)], "if",
             then_branch=then_branch, else_branch=else_branch),
        *after,
    ]  # fmt: skip
    return model(nodes, list(inputs), list(outputs), {"on": condition}, opset=18)


NEG = branch([node("Neg", "x", "t", "neg")], "t")
ABS = branch([node("Abs", "x", "t", "abs")], "t")


@pytest.mark.parametrize(("condition", "op_type"), [(ON, "Neg"), (OFF, "Abs"), (np.array([True]), "Neg")])
def test_the_branch_stands_in_the_place_of_the_if(condition, op_type):
    nodes, changes = written(one(NEG, ABS, condition=condition))
    assert nodes == [(op_type, f"if/{op_type.lower()}")]
    assert changes.fates["if"].into == f"if/{op_type.lower()}"
    assert [note.code for note in changes.notes] == ["branch-taken"]


def test_constants_of_the_branch_come_along():
    add = branch([node("Add", "x c", "t", "add")], "t", {"c": np.arange(4, dtype=np.float32)})
    assert written(one(add, ABS))[0] == [("Add", "if/add")]


def test_names_that_stand_in_both_branches_and_outside_stay_apart():
    before = node("Neg", "x", "z", "neg")
    taken = node("If", "on", "i0", "if", then_branch=NEG, else_branch=ABS)
    other = node("If", "off", "i1", "if2", then_branch=NEG, else_branch=ABS)
    nodes = [before, taken, other, node("Sum", "z i0 i1", "y", "sum")]
    names = [n for _, n in written(model(nodes, ["x[N,4]"], ["y"], {"on": ON, "off": OFF}, opset=18))[0]]
    assert names == ["neg", "if/neg", "if2/abs", "sum"]


def test_an_if_inside_is_taken_too_and_one_that_depends_on_data_stays():
    inner = branch([node("If", "on", "t", "deep", then_branch=NEG, else_branch=ABS)], "t")
    assert written(one(inner, ABS))[0] == [("Neg", "if/deep/neg")]
    depends = branch(
        [node("ReduceMax", "x", "m", "max", keepdims=0), node("Greater", "m zero", "g", "gt"),
         node("If", "g", "t", "deep", then_branch=NEG, else_branch=ABS)],
        "t", {"zero": np.float32(0)},
    )  # fmt: skip
    assert [op for op, _ in written(one(depends, ABS))[0]] == ["ReduceMax", "Greater", "If"]


def test_a_branch_that_hands_on_a_value_or_a_constant():
    constant = branch([], "c", {"c": np.ones((2, 4), np.float32)}, shape="2,4")
    assert written(one(constant, ABS))[0] == [("Identity", "if/y")]
    assert written(one(constant, ABS, after=(node("Add", "i0 x", "y", "out"),)))[0] == [("Add", "out")]
    hand = branch([node("Identity", "x", "t", "same")], "t")
    assert written(one(hand, ABS, after=(node("Neg", "i0", "y", "out"),)))[0][-1] == ("Neg", "out")


def test_two_outputs_keep_their_names():
    twice = branch([node("Neg", "x", "t", "neg"), node("Identity", "t", "u", "same")], ["t[N,4]", "u[N,4]"])
    other = branch([node("Neg", "x", "t", "neg"), node("Abs", "x", "u", "abs")], ["t[N,4]", "u[N,4]"])
    assert [op for op, _ in written(one(twice, other, outputs=("y", "z")))[0]] == ["Neg", "Identity"]


def test_an_output_that_another_body_reads():
    reads = branch([node("Neg", "i0", "t", "neg")], "t")
    hands = branch([node("Identity", "i0", "t", "same")], "t")
    after = (node("If", "flag", "y", "later", then_branch=reads, else_branch=hands),)
    before = one(NEG, ABS, after=after, inputs=("x[N,4]", "flag:bool[]"))
    assert [op for op, _ in written(before)[0]] == ["Neg", "If"]
