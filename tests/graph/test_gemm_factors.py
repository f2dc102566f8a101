"""alpha, beta and short biases of Gemm go into its constants, and the network computes what it computed."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.graph.passes.gemm_factors import fold_gemm_factors
from tests.builders import assert_same_outputs, model, node

BIASES = {"number": (1,), "no axes": (), "row": (1, 5), "columns": (5,), "per row": (3, 1), "matrix": (3, 5)}
RNG = np.random.default_rng(0)


def written(before, tolerance=1e-6):
    after = ir.from_proto(onnx.shape_inference.infer_shapes(before))
    changes = fold_gemm_factors(after.graph)
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto, tolerance=tolerance)
    return proto, changes


def attributes(proto):
    return [{a.name: a.f for a in n.attribute if a.name in ("alpha", "beta")} for n in proto.graph.node]


@pytest.mark.parametrize(("bias", "transposed"), list(product(BIASES, (0, 1))))
def test_factors_and_biases_of_every_shape_are_folded(bias, transposed):
    constants = {"w": RNG.normal(size=(5, 4) if transposed else (4, 5)), "c": RNG.normal(size=BIASES[bias])}
    gemm = node("Gemm", "x w c", "y", "g", alpha=2.5, beta=-0.5, transB=transposed)
    proto, _ = written(model([gemm], ["x[3,4]"], ["y"], constants, opset=21))
    assert all(abs(value - 1) < 1e-9 for one in attributes(proto) for value in one.values())
    shapes = {one.name: tuple(one.dims) for one in proto.graph.initializer}
    assert shapes["c"] == ((5,) if bias not in ("per row", "matrix") else BIASES[bias])


def test_a_shared_weight_is_scaled_for_one_reader_only():
    constants = {"w": RNG.normal(size=(4, 4))}
    nodes = [node("Gemm", "x w", "a", "one", alpha=3.0), node("Gemm", "a w", "y", "two")]
    proto, changes = written(model(nodes, ["x[3,4]"], ["y"], constants, opset=21))
    assert len(proto.graph.initializer) == 2
    assert [note.code for note in changes.notes] == ["shared-weights-copied"]


KEPT = {
    "two activations": (node("Gemm", "x x", "y", "g", alpha=2.0, transB=1), {}),
    "a bias that is computed": (node("Gemm", "x w s", "y", "g", beta=2.0), {"w": RNG.normal(size=(4, 5))}),
    "products beyond float32": (node("Gemm", "x w", "y", "g", alpha=1e10), {"w": np.full((4, 5), 1e30)}),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_cannot_be_folded_stays(name):
    gemm, constants = KEPT[name]
    nodes = [node("ReduceSum", "x axes", "s", "sum", keepdims=1), gemm]
    before = model(nodes, ["x[3,4]"], ["y", "s"], {**constants, "axes": np.array([1])}, opset=21)
    proto, changes = written(before, tolerance=0)
    assert attributes(proto) == attributes(before)
    assert not changes.modified
