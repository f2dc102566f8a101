"""Factors and addends behind a gemm are part of its weights: BatchNormalization as frameworks without it write it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.graph.passes.affine import fold_affine_steps
from tests.builders import assert_same_outputs, conv, model, node

RNG = np.random.default_rng(3)
PER_CHANNEL = {name: RNG.uniform(0.5, 2, size=(1, 4, 1, 1)) for name in ("mean", "factor", "beta")}
WEIGHTS = {"w": RNG.normal(size=(4, 3, 3, 3)), "t": RNG.normal(size=(3, 2, 2, 2)), "b": RNG.normal(size=4)}
X = "x[N,3,8,8]"


def written(before):
    after = ir.from_proto(onnx.shape_inference.infer_shapes(before))
    changes = fold_affine_steps(after.graph)
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto, tolerance=2e-5)
    return [(n.op_type, n.name) for n in after.graph], changes


def behind(*steps, gemm=None, inputs=(X,), **constants):
    """Steps one after the other behind ``gemm``, which writes ``v0``."""
    nodes = [gemm or conv("c", "x", "v0", weight="w")]
    for k, (op_type, read) in enumerate(steps):
        nodes.append(node(op_type, read.replace("_", f"v{k}"), f"v{k + 1}", f"s{k}"))
    used = {**WEIGHTS, **PER_CHANNEL, **constants}
    reads = {name for one in nodes for name in one.input}
    return model(nodes, list(inputs), [f"v{len(steps)}"], {k: v for k, v in used.items() if k in reads}, opset=18)


CHAINS = {
    "Sub, Mul, Add": [("Sub", "_ mean"), ("Mul", "_ factor"), ("Add", "_ beta")],
    "Mul, Sub": [("Mul", "factor _"), ("Sub", "_ mean")],
    "Div, Add": [("Div", "_ factor"), ("Add", "beta _")],
    "Sub from a constant": [("Mul", "_ factor"), ("Sub", "mean _")],
    "Add, Mul": [("Add", "_ beta"), ("Mul", "_ factor")],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("has_bias", [False, True])
def test_a_batch_norm_in_pieces_is_one_conv(name, has_bias):
    gemm = conv("c", "x", "v0", weight="w", bias="b") if has_bias else None
    nodes, changes = written(behind(*CHAINS[name], gemm=gemm))
    assert nodes == [("Conv", "c")]
    assert {fate.into for fate in changes.fates.values()} == {"c"}


def test_transposed_convolutions_in_groups_and_gemms():
    transposed = conv("c", "x", "v0", weight="t", op_type="ConvTranspose", group=1)
    two = {name: RNG.uniform(0.5, 2, size=(2, 1, 1)) for name in ("factor", "beta")}
    assert written(behind(("Mul", "_ factor"), ("Add", "_ beta"), gemm=transposed, **two))[0] == [
        ("ConvTranspose", "c")
    ]
    for transposes, shape in ((0, (5, 4)), (1, (4, 5))):
        gemm = node("Gemm", "r k b", "v0", "g", transB=transposes)
        proto = behind(
            ("Mul", "_ f"), ("Sub", "_ m"), gemm=gemm, inputs=["r[N,5]"], k=RNG.normal(size=shape),
            f=RNG.normal(size=4), m=RNG.normal(size=(1, 4)),
        )  # fmt: skip
        assert written(proto)[0] == [("Gemm", "g")]


def test_a_factor_behind_a_matrix_product_and_its_bias():
    nodes = [node("MatMul", "r k", "v0", "m"), node("Add", "v0 b", "v1", "bias"), node("Mul", "v1 scale", "y", "s")]
    constants = {"k": RNG.normal(size=(5, 4)), "b": RNG.normal(size=4), "scale": RNG.normal(size=4)}
    proto = model(nodes, ["r[N,7,5]"], ["y"], constants, opset=18)
    assert written(proto)[0] == [("MatMul", "m"), ("Add", "bias")]
    alone = model([nodes[0], node("Div", "v0 root", "y", "d")], ["r[N,7,5]"], ["y"],
                  {"k": constants["k"], "root": np.array(8.0)}, opset=18)  # fmt: skip
    assert written(alone)[0] == [("MatMul", "m")]


KEPT = {
    "the bias itself": behind(("Add", "_ beta")),
    "a division by the value": behind(("Div", "factor _")),
    "a factor per row": behind(("Mul", "_ f"), f=RNG.normal(size=(1, 1, 6, 1))),
    "a higher rank": behind(("Mul", "_ f"), f=np.ones((1, 1, 4, 1, 1))),
    "a division by zero": behind(("Div", "_ f"), f=np.zeros((1, 4, 1, 1))),
    "a value read twice": behind(("Mul", "_ factor"), ("Add", "v0 _")),
    "a product of two activations": behind(
        ("Mul", "_ scale"), gemm=node("MatMul", "r q", "v0", "m"), inputs=["r[N,4,5]", "q[N,5,4]"], scale=np.array(0.5)
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_everything_else_is_left_alone(name):
    nodes = [(n.op_type, n.name) for n in KEPT[name].graph.node]
    assert written(KEPT[name])[0] == nodes


def test_weights_that_others_read_are_copied():
    nodes = [
        conv("c", "x", "v0", weight="w"),
        node("Mul", "v0 factor", "y", "s"),
        conv("d", "x", "z", weight="w"),
    ]
    proto = model(nodes, [X], ["y", "z"], {"w": WEIGHTS["w"], "factor": PER_CHANNEL["factor"]}, opset=18)
    nodes, changes = written(proto)
    assert nodes == [("Conv", "c"), ("Conv", "d")]
    assert [note.code for note in changes.notes] == ["shared-weights-copied"]
