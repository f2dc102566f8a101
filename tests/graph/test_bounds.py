"""Bounds in every exporter's way are one Clip, and compute what they computed."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.graph.passes.bounds import write_bounds_as_clips
from tests.builders import assert_same_outputs, model, node

SIX, ZERO = np.float32(6), np.float32(0)


def written(before):
    after = ir.from_proto(onnx.shape_inference.infer_shapes(before))
    changes = write_bounds_as_clips(after.graph)
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto, tolerance=0)
    return [(n.op_type, n.name) for n in after.graph], changes


def chain(*nodes, shape="N,3,4", **constants):
    return model(list(nodes), [f"x[{shape}]"], ["y"], constants, opset=21)


CHAINS = {
    "Min of Max": [node("Max", "x zero", "a", "one"), node("Min", "a six", "y", "two")],
    "Max of Min, constants first": [node("Min", "six x", "a", "one"), node("Max", "zero a", "y", "two")],
    "Min of Relu": [node("Relu", "x", "a", "one"), node("Min", "a six", "y", "two")],
    "Clip of Clip": [node("Clip", "x _ six", "a", "one"), node("Clip", "a zero", "y", "two")],
    "Clip of Relu": [node("Relu", "x", "a", "one"), node("Clip", "a _ six", "y", "two")],
}


@pytest.mark.parametrize("name", CHAINS)
def test_relu6_is_one_clip(name):
    nodes, changes = written(chain(*CHAINS[name], zero=ZERO, six=SIX))
    assert nodes == [("Clip", "two")]
    assert changes.fates["one"].into == "two"


def test_max_with_zero_is_a_relu_and_an_array_of_one_number_a_bound():
    assert written(chain(node("Max", "x zero", "y", "m"), zero=np.zeros((1, 1), np.float32)))[0] == [("Relu", "m")]


@pytest.mark.parametrize(("low", "high"), [(2.0, -1.0), (-1.0, 2.0), (0.5, 0.5)])
def test_bounds_that_cross_give_the_later_one(low, high):
    nodes = [node("Max", "x low", "a", "one"), node("Min", "a high", "y", "two")]
    assert len(written(chain(*nodes, low=np.float32(low), high=np.float32(high)))[0]) == 1


KEPT = {
    "several numbers": chain(node("Max", "x c", "y", "m"), c=np.zeros(4, np.float32)),
    "a higher rank": chain(node("Max", "x c", "y", "m"), c=np.zeros((1, 1, 1, 1), np.float32)),
    "two activations": chain(node("Max", "x x", "y", "m")),
    "read elsewhere": chain(
        node("Relu", "x", "a", "m"), node("Clip", "a _ six", "b", "c"), node("Add", "a b", "y", "s"), six=SIX
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_no_bound_stays(name):
    nodes, changes = written(KEPT[name])
    assert [n for n, _ in nodes] == [n.op_type for n in KEPT[name].graph.node]
    assert not changes.fates
