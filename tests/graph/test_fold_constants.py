from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.graph.notes import FOLDED
from search.graph.passes.constants import lift_constants
from search.graph.passes.fold_constants import QUANTIZERS, FoldLimits, fold_constants
from search.graph.passes.unused import remove_unused
from tests.builders import assert_same_outputs, graph, model, node, run


class Recorder:
    """Runs what it is given and remembers how many nodes each run had."""

    def __init__(self):
        self.sizes = []

    def __call__(self, proto, feeds):
        self.sizes.append(len(proto.graph.node))
        return run(proto, feeds)


def folded(before, **options):
    after = ir.from_proto(before)
    evaluate = Recorder()
    changes = lift_constants(after)
    changes.add(fold_constants(after, evaluate, **options))
    changes.add(remove_unused(after.graph))
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto, tolerance=0)
    return [n.op_type for n in after.graph], changes, evaluate


def test_a_chain_is_folded_in_one_run():
    nodes = [
        node("Transpose", "w", "t", "a", perm=[1, 0]),
        node("Mul", "t s", "u", "b"),
        node("MatMul", "x u", "y", "mm"),
    ]
    constants = {"w": np.arange(6.0).reshape(2, 3), "s": np.float32(2)}
    left, changes, evaluate = folded(model(nodes, ["x[N,3]"], ["y[N,2]"], constants, opset=21))
    assert (left, evaluate.sizes) == (["MatMul"], [2])
    assert {n: f.role for n, f in changes.fates.items()} == {"a": FOLDED, "b": FOLDED}


def test_sizes_that_are_known_only_after_a_run_take_another_run():
    nodes = [
        node("NonZero", "m", "z", "nonzero"),
        node("Transpose", "z", "t", "transpose"),
        node("Constant", "", "s", "shape", value_ints=[2, 2]),
        node("Expand", "c s", "e", "expand"),
        node("Add", "x e", "y", "add"),
    ]
    constants = {"m": np.array([0, 1, 1]), "c": np.ones((1, 1))}
    left, changes, _ = folded(model(nodes, ["x[2,2]"], ["y[2,2]"], constants, opset=21))
    assert left == ["Add"]
    assert "nonzero" in changes.notes[0].nodes


@pytest.mark.parametrize("attribute", ["value_float", "value_floats", "value_int", "value_ints", "value"])
def test_every_form_of_constant_becomes_an_initializer(attribute):
    number = {
        "value_float": 2.0,
        "value_floats": [2.0],
        "value_int": 2,
        "value_ints": [2],
        "value": onnx.helper.make_tensor("v", 1, [1], [2.0]),
    }[attribute]
    nodes = [
        node("Constant", "", "c", "const", **{attribute: number}),
        node("Cast", "c", "f", "cast", to=1),
        node("Mul", "x f", "y", "mul"),
    ]
    left, changes, _ = folded(model(nodes, ["x[N]"], ["y[N]"], opset=21))
    assert left == ["Mul"]
    assert list(changes.fates) == ["const", "cast"]


def test_a_scalar_stays_a_scalar():
    nodes = [node("Neg", "s", "t", "neg"), node("Clip", "x t", "y", "clip")]
    after = ir.from_proto(model(nodes, ["x[2]"], ["y[2]"], {"s": np.float32(1)}, opset=21))
    fold_constants(after, run)
    assert after.graph.initializers["t"].const_value.shape.numpy() == ()


def test_random_numbers_are_never_folded():
    nodes = [node("RandomNormalLike", "w", "r", "rand"), node("Mul", "r z", "s"), node("Add", "x s", "y")]
    constants = {"w": np.ones(2), "z": np.zeros(1)}
    left, *_ = folded(model(nodes, ["x[2]"], ["y[2]"], constants, opset=21))
    assert left == ["RandomNormalLike", "Mul", "Add"]


def test_quantizers_stay_where_asked():
    nodes = [node("DequantizeLinear", "q s", "w", "dq"), node("Mul", "x w", "y")]
    proto = model(nodes, ["x[2]"], ["y[2]"], {"q": np.array([1, 2], np.int8), "s": np.float32(0.5)}, opset=21)
    assert folded(proto, keep=QUANTIZERS)[0] == ["DequantizeLinear", "Mul"]
    assert folded(proto)[0] == ["Mul"]


def test_what_exceeds_the_limit_stays_with_a_note():
    nodes = [node("Expand", "c s", "e", "expand"), node("Add", "x e", "y", "add")]
    proto = model(nodes, ["x[1000]"], ["y[1000]"], {"c": np.ones(1), "s": np.array([1000])}, opset=21)
    left, changes, evaluate = folded(proto, limits=FoldLimits(tensor_bytes=3999))
    assert (left, evaluate.sizes) == (["Expand", "Add"], [])
    assert [(note.code, note.nodes) for note in changes.notes] == [("constants-not-folded", ("expand",))]
    assert folded(proto, limits=FoldLimits(tensor_bytes=4000))[0] == ["Add"]


def test_a_terabyte_is_not_allocated_to_see_that_it_is_too_large():
    nodes = [
        node("Concat", "a a", "s", "sizes", axis=0),
        node("ConstantOfShape", "s", "e", "huge"),
        node("ReduceSum", "e", "r", "sum", keepdims=0),
        node("Add", "x r", "y", "add"),
    ]
    after = ir.from_proto(model(nodes, ["x[1]"], ["y[1]"], {"a": np.array([10**6])}, opset=21))
    evaluate = Recorder()
    changes = fold_constants(after, evaluate)
    assert evaluate.sizes == [1]
    assert changes.notes[0].nodes == ("huge", "sum")


def test_the_total_is_limited_too():
    nodes = [node("Expand", "c s", f"e{i}", f"expand{i}") for i in range(4)]
    nodes.append(node("Sum", "x e0 e1 e2 e3", "y", "sum"))
    proto = model(nodes, ["x[1000]"], ["y[1000]"], {"c": np.ones(1), "s": np.array([1000])}, opset=21)
    left, *_ = folded(proto, limits=FoldLimits(tensor_bytes=4000, total_bytes=10_000))
    assert left == ["Expand", "Expand", "Sum"]


def test_graph_outputs_and_bodies_of_subgraphs_are_left_alone():
    body = graph([node("Neg", "w", "n"), node("Add", "x n", "b")], [], ["b[2]"])
    nodes = [node("Neg", "w", "z", "neg"), node("If", "c", "y", "if", then_branch=body, else_branch=body)]
    proto = model(nodes, ["x[2]", "c:bool[]"], ["y[2]", "z[2]"], {"w": np.ones(2)}, opset=21)
    left, changes, _ = folded(proto)
    assert (left, changes.modified) == (["Neg", "If"], False)


def test_a_constant_that_a_subgraph_reads_is_still_there():
    body = graph([node("Add", "x t", "b")], [], ["b[2]"])
    nodes = [node("Neg", "w", "t", "neg"), node("If", "c", "y", "if", then_branch=body, else_branch=body)]
    left, *_ = folded(model(nodes, ["x[2]", "c:bool[]"], ["y[2]"], {"w": np.ones(2)}, opset=21))
    assert left == ["If"]


def test_unused_nodes_and_initializers_are_removed_with_a_note():
    nodes = [node("Neg", "x", "a", "n1"), node("Mul", "a w", "b", "n2"), node("Relu", "x", "y", "r")]
    after = ir.from_proto(model(nodes, ["x[2]"], ["y[2]"], {"w": np.ones(2)}, opset=21))
    changes = remove_unused(after.graph)
    assert [n.name for n in after.graph] == ["r"]
    assert not after.graph.initializers
    assert [note.nodes for note in changes.notes] == [("n1", "n2")]
