"""A detector whose boxes are pixels and whose scores are shares is judged part by part, on every layout of its head."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from search.errors import UsageError
from search.records.verdict import Outcome
from search.spec.output_part import read_part
from search.study.intake import first_look
from search.study.result import Measured, study_result
from search.work.item_runner import ItemRunner
from tests.builders import model, node, run, save
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import Files

RNG = np.random.default_rng(0)
CONSTANTS = {
    "w": RNG.normal(0, 0.4, (8, 3, 3, 3)),
    "wb": RNG.normal(0, 0.4, (4, 8, 1, 1)),
    "ws": RNG.normal(0, 0.8, (6, 8, 1, 1)),
    "bs": np.full(6, -2.0),
    "pixels": np.float32(640),
    "flat": np.array([0, -1, 64]),
}
HEAD = [
    node("Conv", "x w", "c", "stem", pads=[1] * 4),
    node("Relu", "c", "f", "relu"),
    node("Conv", "f wb", "b0", "box"),
    node("Sigmoid", "b0", "b1", "box_sigmoid"),
    node("Mul", "b1 pixels", "b", "to_pixels"),
    node("Conv", "f ws bs", "s0", "cls"),
    node("Sigmoid", "s0", "s", "cls_sigmoid"),
]
LAYOUTS = {
    "channels": ([node("Concat", "b s", "y", "cat", axis=1)], "[:, 4:]"),
    "scores first": ([node("Concat", "s b", "y", "cat", axis=1)], "[:, :6]"),
    "behind a Reshape": (
        [node("Concat", "b s", "j", "cat", axis=1), node("Reshape", "j flat", "y", "flatten")],
        "[:, 4:]",
    ),
    "anchors first": (
        [
            node("Concat", "b s", "j", "cat", axis=1),
            node("Reshape", "j flat", "k", "flatten"),
            node("Transpose", "k", "y", "turn", perm=[0, 2, 1]),
        ],
        "[:, :, 4:]",
    ),
}


def study(tmp_path, layout, **spec):
    proto = model([*HEAD, *LAYOUTS[layout][0]], ["x[N,3,8,8]"], ["y"], CONSTANTS)
    for role, seed in (("c", 1), ("e", 2)):
        x = np.random.default_rng(seed).normal(size=(24, 3, 8, 8)).astype(np.float32)
        np.savez(tmp_path / f"{role}.npz", x=x)
    files = Files(save(proto, tmp_path), tmp_path / "c.npz", tmp_path / "e.npz")
    return proto, MemoryRun(local_problem(files, **spec))


def finished(memory):
    done = memory.run()
    return study_result(memory.problem, done, Measured(seconds=0.0, stopped=None), memory.get), memory.files(done)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_are_kept_or_the_goal_is_not_met(tmp_path, layout):
    goal = [{"metric": "cosine", "min_value": 0.99}]
    proto, memory = study(tmp_path, layout, goal=goal, search={"strategy": "auto"})
    result, files = finished(memory)
    scores = f"y{LAYOUTS[layout][1]}"
    assert f"cosine@{scores}" in [one.id for one in result.metrics]
    assert len(result.metrics) == 2
    x = np.load(tmp_path / "e.npz")["x"]
    exact, found = (run(one, {"x": x})["y"] for one in (proto, onnx.load_from_string(files["model.qdq.onnx"])))
    a, b = (read_part(scores).take(one).astype(np.float64).ravel() for one in (exact, found))
    assert result.outcome is Outcome.MET
    assert a @ b / np.sqrt((a @ a) * (b @ b)) > 0.99


def test_where_a_chip_has_int8_alone_the_dead_scores_are_not_met_and_the_concat_is_named(tmp_path):
    _, memory = study(tmp_path, "channels", goal=[{"metric": "cosine", "min_value": 0.99}], target="tx5105c")
    result, _ = finished(memory)
    assert result.outcome is Outcome.NOT_MET
    (found,) = [one for one in result.findings if one.code == "shared-scale"]
    assert found.severity == "error"
    assert "'cat'" in found.message
    assert "cls_sigmoid" in found.message


def test_points_are_ranked_by_the_part(tmp_path):
    goal = [{"metric": "sqnr_db", "min_value": 30.0, "output": "y[:, 4:]"}]
    _, memory = study(tmp_path, "channels", goal=goal)
    done = memory.run()
    assert done.session is not None
    tables = {table.output: table for table in done.session.table_list}
    assert set(tables) == {"y[:, 4:]"}
    assert next(iter(tables.values())).rows[0].op_name in ("cat", "cls_sigmoid", "cls")
    assert done.chosen is not None
    assert done.chosen.is_met


@pytest.mark.parametrize(("part", "told"), [("[:, 10:]", "holds nothing"), ("[:, :, :, :, 1:]", "too many axes")])
def test_a_part_that_the_output_does_not_have_is_refused_before_the_search(tmp_path, part, told):
    _, memory = study(tmp_path, "channels", goal=[{"metric": "l1", "max_value": 1.0, "output": f"y{part}"}])
    with pytest.raises(UsageError, match=told):
        first_look(ItemRunner(memory.problem, memory))


def test_labels_may_be_those_of_a_part(tmp_path):
    goal = [{"metric": "mae", "max_increase": 0.05, "output": "y[:, 4:]"}]
    proto, _ = study(tmp_path, "channels", goal=goal)
    x = np.load(tmp_path / "e.npz")["x"]
    np.savez(tmp_path / "e.npz", x=x, labels=run(proto, {"x": x})["y"][:, 4:])
    files = Files(tmp_path / "model.onnx", tmp_path / "c.npz", tmp_path / "e.npz")
    memory = MemoryRun(local_problem(files, goal=goal))
    result, _ = finished(memory)
    (record,) = result.metrics
    assert record.float_value is not None
    assert record.float_value < 1e-6
    assert result.outcome is Outcome.MET
