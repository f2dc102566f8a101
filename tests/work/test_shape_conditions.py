"""An If that asks for sizes only is decided when the model is taken in, and what it holds is quantized."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from search.work.item_runner import ItemRunner
from search.work.without_data import load_without_data
from tests.builders import conv, graph, model, node, save
from tests.builders import run as execute
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import Files

RNG = np.random.default_rng(2)
WEIGHTS = {"w": RNG.normal(size=(4, 3, 3, 3)), "v": RNG.normal(size=(4, 4, 3, 3))}


def asks_for_channels(wanted, *, then_nodes=None):
    """A Conv, and another one behind ``if channels == wanted``."""
    then_nodes = then_nodes or [conv("inner", "a", "t", weight="v"), node("Relu", "t", "r", "relu")]
    nodes = [
        conv("stem", "x", "a", weight="w"),
        node("Shape", "a", "sizes", "shape"),
        node("Gather", "sizes one", "channels", "gather"),
        node("Equal", "channels wanted", "on", "equal"),
        node("If", "on", "b", "if",
             then_branch=graph(then_nodes, [], [f"{then_nodes[-1].output[0]}[N,4,H,W]"], name="then"),
             else_branch=graph([node("Identity", "a", "e", "same")], [], ["e[N,4,H,W]"], name="else")),
        node("GlobalAveragePool", "b", "y", "pool"),
    ]  # fmt: skip
    constants = {**WEIGHTS, "one": np.array(1), "wanted": np.array(wanted)}
    return model(nodes, ["x[N,3,8,8]"], ["y[N,4,1,1]"], constants, opset=18)


def groups(proto, folder):
    loaded = load_without_data(save(proto, folder), seed=0, n_samples=4).loaded
    return loaded, [(group.op_type, group.name) for group in loaded.structure.network.groups]


def test_the_branch_that_is_always_taken_is_quantized(tmp_path):
    loaded, found = groups(asks_for_channels(4), tmp_path)
    assert found == [("Conv", "stem"), ("Conv", "if/inner"), ("GlobalAveragePool", "pool")]
    assert loaded.fates["if"].into == "if/relu"
    assert loaded.fates["equal"].why.startswith("depends on shapes only")
    assert "branch-taken" in {note.code for note in loaded.notes}


def test_the_other_branch_is_taken_where_the_sizes_say_so(tmp_path):
    assert groups(asks_for_channels(3), tmp_path)[1] == [("Conv", "stem"), ("GlobalAveragePool", "pool")]


def test_a_condition_inside_is_decided_in_the_next_round(tmp_path):
    body = graph([conv("inner", "a", "t", weight="v")], [], ["t[N,4,H,W]"], name="deep")
    other = graph([node("Neg", "a", "t", "neg")], [], ["t[N,4,H,W]"], name="other")
    deep = [
        node("Shape", "a", "inside", "again"),
        node("Gather", "inside one", "c", "pick"),
        node("Greater", "c one", "g", "gt"),
        node("If", "g", "t", "if2", then_branch=body, else_branch=other),
    ]
    assert ("Conv", "if/if2/inner") in groups(asks_for_channels(4, then_nodes=deep), tmp_path)[1]


def test_a_condition_that_depends_on_the_batch_stays(tmp_path):
    proto = asks_for_channels(2)
    gather = next(n for n in proto.graph.node if n.name == "gather")
    zero = proto.graph.initializer.add()
    zero.name, zero.data_type = "zero", 7
    zero.raw_data = np.array(0).tobytes()
    gather.input[1] = "zero"
    assert ("If", "if") in groups(proto, tmp_path)[1]


def rated():
    """One of two networks, by a sampling rate that is an input."""
    nodes = [
        node("Equal", "rate wanted", "on", "equal"),
        node("If", "on", "y", "if",
             then_branch=graph([conv("high", "x", "t", weight="w")], [], ["t[N,4,H,W]"], name="then"),
             else_branch=graph([conv("low", "x", "e", weight="u")], [], ["e[N,4,H,W]"], name="else")),
    ]  # fmt: skip
    constants = {"w": WEIGHTS["w"], "u": WEIGHTS["w"] * 2, "wanted": np.array(16000)}
    return model(nodes, ["x[N,3,8,8]", "rate:int64[]"], ["y[N,4,6,6]"], constants, opset=18)


def taken(folder, **settings):
    """What a study with ``inputs`` makes of ``rated``."""
    files = Files(save(rated(), folder), folder / "c.npz", folder / "e.npz")
    for path in (files.calibration, files.evaluation):
        np.savez(path, x=RNG.normal(size=(20, 3, 8, 8)).astype(np.float32))
    goal = [{"metric": "sqnr_db", "output": "y", "min_value": 10.0}]
    run = MemoryRun(local_problem(files, goal=goal, inputs=settings))
    return run, run.document(run.run())


def test_indices_that_are_stored_once_are_left_alone(tmp_path):
    """Positions may be the same for all samples here and others when the network is used."""
    nodes = [node("Gather", "table places", "rows", "lookup"), node("Add", "x rows", "y", "add")]
    proto = model(nodes, ["x[N,5,4]", "places:int64[5]"], ["y[N,5,4]"], {"table": RNG.normal(size=(9, 4))}, opset=18)
    files = Files(save(proto, tmp_path), tmp_path / "c.npz", tmp_path / "e.npz")
    for path in (files.calibration, files.evaluation):
        np.savez(path, x=RNG.normal(size=(20, 5, 4)).astype(np.float32), places=np.arange(5))
    goal = [{"metric": "sqnr_db", "output": "y", "min_value": 10.0}]
    run = MemoryRun(local_problem(files, goal=goal, inputs={"places": {"constant": "data"}}))
    assert "lookup" in [group.name for group in ItemRunner(run.problem, run).loaded.structure.network.groups]


@pytest.mark.parametrize(("rate", "name"), [(16000, "if/high"), (8000, "if/low")])
def test_an_input_that_is_the_same_for_every_sample_decides_too_and_is_told(tmp_path, rate, name):
    run, document = taken(tmp_path, rate={"constant": rate})
    assert [group.name for group in ItemRunner(run.problem, run).loaded.structure.network.groups] == [name]
    assert document["outcome"] == "met"
    told = {one["code"]: one["message"] for one in document["findings"]}
    assert f"'rate' is the same for every sample ({rate})" in told["constant-input"]
    feeds = {"x": np.ones((1, 3, 8, 8), np.float32), "rate": np.array(rate)}
    delivered = onnx.load_from_string(run.files(run.run())["model.qdq.onnx"])
    assert [value.name for value in delivered.graph.input] == ["x", "rate"]  # it is fed as before
    expected = execute(rated(), feeds)["y"]
    np.testing.assert_allclose(execute(delivered, feeds)["y"], expected, atol=0.05 * np.abs(expected).max())
