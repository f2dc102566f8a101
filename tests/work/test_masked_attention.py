"""Whole studies of masked attention: the mask must neither fail the calibration nor swallow the scores."""

from __future__ import annotations

import numpy as np
import pytest

from tests.builders import model, node, save
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import Files

N_ROWS = 6


def attention(mask):
    """Scores of pairs of rows, masked by the input ``m`` or by a constant, a weighted mean of rows, a product."""
    rng = np.random.default_rng(0)
    nodes = [
        node("MatMul", "x wq", "q", "query"),
        node("Transpose", "x", "t", "turn", perm=[0, 2, 1]),
        node("MatMul", "q t", "p", "scores"),
        node("Add", "p mask" if mask is not None else "p m", "s", "masked"),
        node("Softmax", "s", "a", "soft", axis=-1),
        node("MatMul", "a x", "v", "mean"),
        node("MatMul", "v wo", "y", "out"),
    ]
    constants = {"wq": rng.normal(0, 0.5, (4, 4)), "wo": rng.normal(0, 1, (4, 5))}
    inputs = [f"x[N,{N_ROWS},4]"]
    if mask is not None:
        constants["mask"] = mask
    else:
        inputs.append(f"m[N,1,{N_ROWS}]")
    return model(nodes, inputs, [f"y[N,{N_ROWS},5]"], constants)


def files(folder, proto, deep):
    rng = np.random.default_rng(1)
    for name, n in (("calibration", 40), ("evaluation", 60)):
        data = {"x": rng.normal(size=(n, N_ROWS, 4)).astype(np.float32)}
        if len(proto.graph.input) > 1:
            kept = np.arange(N_ROWS) < rng.integers(2, N_ROWS + 1, size=(n, 1, 1))
            data["m"] = np.where(kept, np.float32(0), np.float32(deep))
        np.savez(folder / f"{name}.npz", **data)
    return Files(save(proto, folder), folder / "calibration.npz", folder / "evaluation.npz")


@pytest.mark.parametrize("target", ["j6m", "ort-cpu"])
@pytest.mark.parametrize("deep", [-1e4, float(np.finfo(np.float32).min), -np.inf], ids=["-1e4", "lowest", "-inf"])
@pytest.mark.parametrize("kind", ["constant", "input"])
def test_eight_bit_keep_what_a_mask_leaves(kind, deep, target, tmp_path):
    if (kind, deep) == ("input", -np.inf):
        deep = -1e9  # data must be finite
    causal = np.triu(np.full((N_ROWS, N_ROWS), deep, np.float32), 1)
    proto = attention(causal if kind == "constant" else None)
    goal = [{"metric": "cosine", "output": "y", "min_value": 0.99}]
    run = MemoryRun(local_problem(files(tmp_path, proto, deep), target=target, goal=goal))
    document = run.document(run.run())
    assert document["outcome"] == "met"
    assert document["metrics"][0]["all_low"] > 0.99
