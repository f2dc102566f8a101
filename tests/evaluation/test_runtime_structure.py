"""All-int8 models of ``ort-cpu`` after the runtime's optimizer: integer gemms everywhere, no layout change inside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from search.evaluation.lowering.lower import lower
from search.evaluation.qdq import QdqOptions, build_qdq
from search.graph.fusion import Fusion
from search.runtime.session import Level, Session
from search.simulator.reference.run import Reference
from search.targets.legalise import uniform
from search.targets.placement import place
from search.targets.target import load_target
from search.work.loaded import Loaded
from tests.builders import conv, model, node
from tests.evaluation.loading import load_proto, min_max_grids
from tests.evaluation.step_by_step import StepByStep

ORT = load_target("ort-cpu", toolchain=None)
FLOAT_GEMMS = {"Conv", "FusedConv", "ConvTranspose", "Gemm", "MatMul", "FusedGemm", "FusedMatMul"}
ENDS = 2  # of integer convolutions, which the runtime keeps with channels last: one on the way in, one out


def residual(n_blocks: int, activation: str, seed: int) -> onnx.ModelProto:
    """A stem, blocks ``x + conv(relu(conv(x)))`` with an activation behind the sum, and a classifier."""
    rng = np.random.default_rng(seed)
    constants: dict[str, object] = {
        "stem": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "zero": np.float32(0),
        "six": np.float32(6),
    }
    nodes = [conv("stem", "x", "t0", weight="stem", pads=[1, 1, 1, 1])]
    for k in range(n_blocks):
        for part in ("a", "b"):
            constants |= {f"{part}{k}": rng.normal(0, 0.2, (8, 8, 3, 3)), f"{part}{k}.bias": rng.normal(0, 0.1, 8)}
        nodes += [
            conv(f"conv_a{k}", f"t{k}", f"p{k}", weight=f"a{k}", bias=f"a{k}.bias", pads=[1, 1, 1, 1]),
            node("Relu", f"p{k}", f"q{k}", f"relu{k}"),
            conv(f"conv_b{k}", f"q{k}", f"r{k}", weight=f"b{k}", bias=f"b{k}.bias", pads=[1, 1, 1, 1]),
            node("Add", f"r{k} t{k}", f"s{k}" if activation else f"t{k + 1}", f"add{k}"),
        ]
        if activation:
            reads = [f"s{k}", "zero", "six"] if activation == "Clip" else [f"s{k}"]
            nodes.append(node(activation, reads, f"t{k + 1}", f"act{k}"))
    constants["head"] = rng.normal(0, 0.3, (8, 5))
    nodes += [
        node("GlobalAveragePool", f"t{n_blocks}", "g", "pool"),
        node("Flatten", "g", "f", "flat"),
        node("MatMul", "f head", "y", "head"),
    ]
    return model(nodes, ["x[N,3,8,8]"], ["y[N,5]"], constants)


def optimized(data: bytes, folder: Path) -> Counter[str]:
    """Operator types after the runtime's optimizer."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return Counter(one.op_type for one in onnx.load(folder / "optimized.onnx").graph.node)


def taken_in(proto: onnx.ModelProto, folder: Path, fusion: Fusion) -> tuple[Loaded, dict[str, np.ndarray]]:
    feeds = {"x": np.random.default_rng(9).normal(size=(8, 3, 8, 8)).astype(np.float32)}
    return load_proto(proto, feeds, folder, fusion), feeds


def all_low(loaded: Loaded, feeds: dict[str, np.ndarray]) -> bytes:
    network = loaded.structure.network
    placement = place(network, ORT, uniform(network, ORT, "low"))
    made = build_qdq(loaded.template, placement, min_max_grids(loaded, feeds, ORT), QdqOptions(explicit_moves=True))
    return made.model.SerializeToString()


@pytest.mark.parametrize("activation", ["", "Relu", "Clip"])
@pytest.mark.parametrize("n_blocks", [1, 4])
def test_no_gemm_stays_float_and_no_layout_changes_inside(activation, n_blocks, tmp_path):
    loaded, feeds = taken_in(residual(n_blocks, activation, seed=n_blocks), tmp_path, ORT.fused)
    kinds = optimized(all_low(loaded, feeds), tmp_path)
    assert not FLOAT_GEMMS & set(kinds), kinds
    assert kinds["QLinearConv"] == 1 + 2 * n_blocks
    assert kinds["QLinearAdd"] == n_blocks
    assert kinds["Transpose"] <= ENDS


def test_what_an_accelerator_joins_would_leave_convolutions_float(tmp_path):
    loaded, feeds = taken_in(residual(4, "Relu", seed=4), tmp_path, Fusion())
    kinds = optimized(all_low(loaded, feeds), tmp_path)
    assert FLOAT_GEMMS & set(kinds), "the test above could not fail"


@pytest.mark.parametrize("activation", ["Relu", "Clip"])
def test_a_joined_activation_is_the_end_of_the_grid_in_integers(activation, tmp_path):
    loaded, feeds = taken_in(residual(2, activation, seed=7), tmp_path, ORT.fused)
    network = loaded.structure.network
    placement = place(network, ORT, uniform(network, ORT, "low"))
    grids = min_max_grids(loaded, feeds, ORT)
    program = lower(loaded.template, placement, grids, ORT.arithmetic)
    gaps = StepByStep(loaded.template, placement, grids, program).compare(feeds)
    assert max(gap.steps for gap in gaps) <= 1.0
    assert list(program.float_interior) == ([] if activation == "Relu" else ["add0", "add1"])
    made = build_qdq(loaded.template, placement, grids, QdqOptions()).model
    written = Session(made, level=Level.PINNED).run(feeds)["y"]
    found = Reference(program).run(feeds).values["y"]
    assert np.linalg.norm(found - written) <= 0.05 * np.linalg.norm(written)
