from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search.evaluation.subgraphs import outer_reads, rename_outer
from tests.builders import node


def body(nodes, inputs=(), output="o", initializers=None):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (*inputs, output)]
    constants = [numpy_helper.from_array(np.float32(1), name) for name in initializers or ()]
    return helper.make_graph(nodes, "body", values[:-1], values[-1:], constants)


def nested() -> onnx.NodeProto:
    """An If whose branch holds an If. They read ``a``, ``b``, ``c`` from outside; the rest is their own."""
    inner = body([node("Add", "b t", "o2")], output="o2")
    branch = body(
        [node("Add", "a k", "t"), node("If", "c", "u", then_branch=inner, else_branch=inner), node("Add", "u i", "o")],
        inputs=["i"],
        initializers=["k"],
    )
    return node("If", "cond", "y", then_branch=branch, else_branch=branch)


def test_outer_reads_are_what_no_body_defines():
    assert outer_reads(nested()) == {"a", "b", "c"}
    assert outer_reads(node("Relu", "x", "y")) == frozenset()


def test_renaming_reaches_inner_bodies_and_spares_their_own_names():
    found = nested()
    rename_outer(found, {name: f"{name}!" for name in "abckit"})
    assert outer_reads(found) == {"a!", "b!", "c!"}
    assert list(found.input) == ["cond"]
    branch = found.attribute[0].g
    assert [list(one.input) for one in branch.node] == [["a!", "k"], ["c!"], ["u", "i"]]
