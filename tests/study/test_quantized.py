"""A network of which nothing can be quantized is not "met" by staying float."""

from __future__ import annotations

import json

import numpy as np
import pytest

from search.export.report.verdict import verdict
from search.records.verdict import Outcome
from search.study.result import Measured, study_result
from tests.builders import graph, model, node, save
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import Files


def inside_an_if(*, behind: int = 0):
    """A MatMul in both branches of an If on the data, and as many plain ones behind it as asked for."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(8, 8)), "zero": np.zeros((), np.float32)}
    branch = [graph([node("MatMul", "x w", name, name)], [], [f"{name}[N,8]"]) for name in ("a", "b")]
    nodes = [
        node("ReduceMax", "x", "top", "top", keepdims=0),
        node("Greater", "top zero", "c", "c"),
        node("If", "c", "h0", "if", then_branch=branch[0], else_branch=branch[1]),
    ]
    for i in range(behind):
        weights[f"w{i}"] = rng.normal(size=(8, 8))
        nodes.append(node("MatMul", f"h{i} w{i}", f"h{i + 1}", f"m{i}"))
    return model([*nodes, node("Identity", f"h{behind}", "y", "last")], ["x[N,8]"], ["y[N,8]"], weights)


def searched(tmp_path, proto, **spec):
    for name in ("c", "e"):
        np.savez(tmp_path / f"{name}.npz", x=np.random.default_rng(1).normal(size=(24, 8)).astype(np.float32))
    files = Files(save(proto, tmp_path), tmp_path / "c.npz", tmp_path / "e.npz")
    local = local_problem(files, goal=[{"metric": "cosine", "min_value": 0.99}], **spec)
    memory = MemoryRun(local)
    finished = memory.run()
    return study_result(local.problem, finished, Measured(seconds=0.0, stopped=None), memory.get)


@pytest.mark.parametrize("allowed", [False, True])
def test_nothing_quantized_is_met_only_where_float_is_allowed(tmp_path, allowed):
    result = searched(tmp_path, inside_an_if(), allow_float=allowed)
    assert result.outcome is (Outcome.MET if allowed else Outcome.NOT_MET)
    assert "nothing is quantized" in verdict(result).headline
    (finding,) = [one for one in result.findings if one.code == "mostly-float"]
    assert finding.severity == ("warning" if allowed else "error")
    assert "If (1)" in finding.message
    assert json.loads(result.to_text())["quantized"]["share"] == 0


def test_a_part_in_a_subgraph_is_told_and_still_met(tmp_path):
    result = searched(tmp_path, inside_an_if(behind=1))
    assert result.quantized is not None
    assert (result.quantized.in_subgraphs, result.quantized.possible) == (0.5, 0.5)
    assert result.outcome is Outcome.MET
    assert verdict(result).headline == "Goal met"
    assert "mostly-float" not in {one.code for one in result.findings}
