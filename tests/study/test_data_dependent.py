"""Networks whose number of results depends on the data: judged before it, or refused before the search."""

from __future__ import annotations

import numpy as np
import pytest

from search.errors import UnsupportedModelError
from search.evaluation.measure import comparable
from search.records.verdict import Outcome
from search.study.findings import findings_of
from search.study.intake import first_look
from search.study.result import Measured, study_result
from search.work.item_runner import ItemRunner
from tests.builders import model, node, save
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import Files

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(0, 0.3, (8, 3, 3, 3))


def picked(threshold, pick):
    """A convolution whose means above a threshold are an output of their own."""
    nodes = [
        node("Conv", "x w", "f", "conv", pads=[1] * 4),
        node("GlobalAveragePool", "f", "g", "pool"),
        node("Flatten", "g", "means", "flat"),
        node("Greater", "means level", "above", "above"),
        *pick,
        node("Mul", "found two", "y", "twice"),
        node("Sigmoid", "means", "prob", "prob"),
    ]
    constants = {"w": KERNEL, "level": np.float32(threshold), "two": np.float32(2), "one": np.array([8])}
    return model(nodes, ["x[1,3,8,8]"], ["prob[1,8]", "y[?]"], constants)


PICKS = {
    "NonZero": [
        node("NonZero", "above", "at", "nonzero"),
        node("Transpose", "at", "rows", "turn", perm=[1, 0]),
        node("GatherND", "means rows", "found", "gather"),
    ],
    "Compress": [
        node("Reshape", "above one", "flags", "flags"),
        node("Reshape", "means one", "row", "row"),
        node("Compress", "row flags", "found", "compress", axis=0),
    ],
}


def study(tmp_path, proto, goal, **spec):
    for role, seed in (("c", 1), ("e", 2)):
        x = np.random.default_rng(seed).normal(size=(24, 3, 8, 8)).astype(np.float32)
        np.savez(tmp_path / f"{role}.npz", x=x)
    files = Files(save(proto, tmp_path), tmp_path / "c.npz", tmp_path / "e.npz")
    return local_problem(files, goal=[{"metric": "sqnr_db", "min_value": 10.0, "output": goal}], **spec)


@pytest.mark.parametrize("name", PICKS)
def test_a_goal_on_the_results_themselves_is_refused_before_the_search(tmp_path, name):
    local = study(tmp_path, picked(0.0, PICKS[name]), "y")
    with pytest.raises(UnsupportedModelError, match=r"Output 'y' is \[.*depends on the data"):
        first_look(ItemRunner(local.problem, MemoryRun(local)))


@pytest.mark.parametrize("target", ["j6m", "ort-cpu"])
@pytest.mark.parametrize("name", PICKS)
def test_a_goal_on_another_output_is_judged(tmp_path, name, target):
    memory = MemoryRun(study(tmp_path, picked(0.0, PICKS[name]), "prob", target=target))
    result = study_result(memory.problem, memory.run(), Measured(seconds=0.0, stopped=None), memory.get)
    assert result.outcome is Outcome.MET


@pytest.mark.parametrize("target", ["j6m", "ort-cpu"])
def test_what_calibration_never_held_is_named_and_gets_a_range(tmp_path, target):
    memory = MemoryRun(study(tmp_path, picked(50.0, PICKS["NonZero"]), "prob", target=target))
    finished = memory.run()
    (found,) = [one for one in findings_of(memory.problem, finished) if one.code == "unseen-in-calibration"]
    assert "twice" in found.message
    assert finished.chosen is not None
    assert finished.chosen.is_met


def test_another_number_of_results_is_no_result():
    exact = np.ones((1, 3, 4), np.float32)
    assert np.isnan(comparable(np.ones((1, 2, 4), np.float32), exact)).all()
    assert comparable(np.ones((1, 3, 4, 1), np.float32), exact).shape == (1, 3, 4, 1)
