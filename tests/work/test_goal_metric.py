from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from search.errors import UsageError
from search.work.goal_metric import graph_metric
from tests.builders import model, node, save
from tests.service.command import result_of, search
from tests.study.small import write


def top1_graph(*, swapped: bool = False, labels: str = "labels", outputs: str = "outputs") -> onnx.ModelProto:
    """1 where the largest output is the label, else 0."""
    nodes = [
        node("ArgMax", outputs, "best", axis=1, keepdims=0),
        node("Equal", f"best {labels}", "same"),
        node("Cast", "same", "right", to=onnx.TensorProto.FLOAT),
    ]
    inputs = [f"{outputs}[N,10]", f"{labels}:int64[N]"]
    return model(nodes, inputs[::-1] if swapped else inputs, ["right[N]"])


def spread_graph() -> onnx.ModelProto:
    """Largest output minus smallest: needs no labels."""
    nodes = [
        node("ReduceMax", "o axes", "high", keepdims=0),
        node("ReduceMin", "o axes", "low", keepdims=0),
        node("Sub", "high low", "spread"),
    ]
    return model(nodes, ["o[N,10]"], ["spread[N]"], {"axes": np.array([1])}, opset=18)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_graph_gives_one_value_per_sample(tmp_path: Path, swapped: bool):
    metric = graph_metric("onnx:m", save(top1_graph(swapped=swapped), tmp_path), direction="higher", threads=1)
    outputs = np.eye(10, dtype=np.float32)[:4]
    part = metric.measure(outputs, outputs, np.array([0, 1, 5, 3], np.int32))
    assert metric.needs_labels
    assert metric.value([part]) == 0.75


def test_inputs_of_other_names_are_taken_in_order(tmp_path: Path):
    path = save(top1_graph(labels="truth", outputs="scores"), tmp_path)
    outputs = np.eye(10, dtype=np.float32)
    metric = graph_metric("onnx:m", path, direction="higher", threads=1)
    assert metric.value([metric.measure(outputs, outputs, np.arange(10))]) == 1.0


def test_a_graph_of_one_input_needs_no_labels(tmp_path: Path):
    metric = graph_metric("onnx:m", save(spread_graph(), tmp_path), direction="higher", threads=1)
    outputs = np.arange(20, dtype=np.float32).reshape(2, 10)
    assert not metric.needs_labels
    assert metric.value([metric.measure(outputs, outputs, None)]) == 9.0


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (model([node("Identity", "a", "y")], ["a[N]", "b[N]", "c[N]"], ["y[N]"]), "3 inputs"),
        (model([node("Identity", "a", "y"), node("Neg", "a", "z")], ["a[N]"], ["y[N]", "z[N]"]), "2 outputs"),
    ],
)
def test_other_graphs_are_no_metrics(tmp_path: Path, graph: onnx.ModelProto, message: str):
    with pytest.raises(UsageError, match=message):
        graph_metric("onnx:m", save(graph, tmp_path), direction="higher", threads=1)


def test_more_than_one_value_per_sample_is_refused(tmp_path: Path):
    path = save(model([node("Neg", "a", "y")], ["a[N,10]"], ["y[N,10]"]), tmp_path)
    metric = graph_metric("onnx:m", path, direction="higher", threads=1)
    with pytest.raises(UsageError, match="one real number per sample"):
        metric.measure(np.zeros((2, 10), np.float32), np.zeros((2, 10), np.float32), None)


def test_a_search_by_a_graph_equals_a_search_by_the_metric_it_computes(tmp_path: Path):
    files = write(tmp_path)
    path = save(top1_graph(), tmp_path, "metric.onnx")
    assert search(files, tmp_path / "own", goal=["--goal", f"onnx:{path}@logits,max-drop=0.01"]).code == 0
    assert search(files, tmp_path / "built-in").code == 0
    own, known = result_of(tmp_path / "own"), result_of(tmp_path / "built-in")
    assert own["metrics"][0]["id"] == f"onnx:{path}@logits"
    for key in ("float", "required", "all_low", "all_high", "chosen", "qdq"):
        assert own["metrics"][0][key] == pytest.approx(known["metrics"][0][key]), key
    assert own["assignment"] == known["assignment"]


def test_another_content_under_the_same_name_is_measured_again_and_said(tmp_path: Path):
    files = write(tmp_path)
    goal = ["--goal", f"onnx:{save(top1_graph(), tmp_path, 'metric.onnx')}@logits,max-drop=0.01"]
    assert search(files, tmp_path / "out", goal=goal).code == 0
    before = result_of(tmp_path / "out")
    save(spread_graph(), tmp_path, "metric.onnx")
    ended = search(files, tmp_path / "out", goal=goal)
    assert f"note: Metric onnx:{tmp_path}/metric.onnx is another one than before: it is measured again" in ended.err
    assert result_of(tmp_path / "out")["metrics"][0]["float"] != before["metrics"][0]["float"]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("onnx:nowhere.onnx", "'nowhere.onnx' does not exist"),
        ("python:package.module:function", "runs it on your own machine with --trust-python"),
    ],
)
def test_a_metric_that_cannot_be_had_is_refused_in_words(tmp_path: Path, metric: str, message: str):
    ended = search(write(tmp_path), tmp_path / "out", goal=["--goal", f"{metric}@logits,min-value=0.5"])
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "out").exists()
