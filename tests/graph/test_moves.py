"""A gemm stands beside its bias and activation wherever an exporter put a Transpose or a Reshape between them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.graph.passes.moves import sink_moves
from tests.builders import assert_same_outputs, conv, model, node
from tests.graph.graphs import see

RNG = np.random.default_rng(4)
NHWC, NCHW = [0, 2, 3, 1], [0, 3, 1, 2]
WEIGHTS = {
    "w": RNG.normal(size=(4, 3, 3, 3)),
    "v": RNG.normal(size=(4, 4, 1, 1)),
    "bias": RNG.normal(size=4),
    "six": np.array(6.0),
    "zero": np.array(0.0),
    "k": RNG.normal(size=(5, 4)),
    "rows": np.array([-1, 5]),
    "back": np.array([-1, 7, 4]),
    "lost": np.array([-1, 28]),
    "wide": RNG.normal(size=28),
    "map": RNG.normal(size=(1, 6, 6, 1)),
}


def written(before):
    after = ir.from_proto(onnx.shape_inference.infer_shapes(before))
    sink_moves(after.graph)
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto, tolerance=1e-6)
    return [n.name for n in after.graph]


def built(*nodes, inputs=("x[N,3,8,8]",), outputs=("y",)):
    reads = {name for one in nodes for name in one.input}
    return model(list(nodes), list(inputs), list(outputs), {k: v for k, v in WEIGHTS.items() if k in reads}, opset=18)


CHANNELS_LAST = built(
    conv("c", "x", "a", weight="w"),
    node("Transpose", "a", "b", "to_last", perm=NHWC),
    node("Add", "b bias", "d", "add"),
    node("Clip", "d zero six", "e", "relu6"),
    node("Transpose", "e", "f", "to_first", perm=NCHW),
    conv("next", "f", "y", weight="v"),
)
DENSE = built(
    node("Reshape", "x rows", "a", "flat"),
    node("MatMul", "a k", "b", "m"),
    node("Reshape", "b back", "d", "apart"),
    node("Add", "d bias", "e", "add"),
    node("Relu", "e", "y", "relu"),
    inputs=["x[N,7,5]"],
)


def test_a_channels_last_block_is_a_conv_with_bias_and_clip():
    assert written(CHANNELS_LAST)[:3] == ["c", "add", "relu6"]
    assert see(CHANNELS_LAST).summary == [("Conv", "c", "add", "relu6"), ("Conv", "next")]


def test_a_dense_layer_over_three_axes_is_one_group():
    assert written(DENSE) == ["flat", "m", "add", "relu", "apart"]
    assert see(DENSE).summary == [("MatMul", "m", "add", "relu")]


def test_a_batch_norm_in_pieces_behind_a_transpose_is_folded():
    nodes = [
        conv("c", "x", "a", weight="w"),
        node("Transpose", "a", "b", "t", perm=NHWC),
        node("Sub", "b bias", "d", "sub"),
        node("Mul", "d bias", "y", "mul"),
    ]
    assert see(built(*nodes)).summary == [("Conv", "c")]


KEPT = {
    "a value that is read twice": built(
        conv("c", "x", "a", weight="w"), node("Transpose", "a", "b", "t", perm=NHWC),
        node("Relu", "b", "y", "r"), node("Neg", "b", "z", "n"), outputs=("y", "z"),
    ),
    "an output between": built(
        conv("c", "x", "a", weight="w"), node("Transpose", "a", "b", "t", perm=NHWC), node("Relu", "b", "y", "r"),
        outputs=("b", "y"),
    ),
    "a Reshape that loses the axis": built(
        node("MatMul", "x k", "b", "m"), node("Reshape", "b lost", "d", "r"), node("Add", "d wide", "y", "add"),
        inputs=["x[N,7,5]"],
    ),
    "what stands behind no gemm": built(
        node("Transpose", "x", "b", "t", perm=NHWC), node("Relu", "b", "y", "r"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_everything_else_stays_where_it_is(name):
    assert written(KEPT[name]) == [n.name for n in KEPT[name].graph.node]


def test_a_constant_of_several_axes_is_transposed_back():
    nodes = [
        conv("c", "x", "a", weight="w"),
        node("Transpose", "a", "b", "t", perm=NHWC),
        node("Mul", "b map", "y", "m"),
    ]
    assert written(built(*nodes)) == ["c", "m", "t"]
