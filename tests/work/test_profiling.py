"""``layers.csv`` and ``layers.json``: figures against ONNX Runtime by hand and against the dumped arrays."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from search.study.delivering import PROFILE_SAMPLES
from search.study.plan import Replay
from search.study.result import large_files
from search.study.steering import search_seconds
from search.work.inner_values import value_names
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items
from tests.builders import model, node
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import conv_net, write

TOP1 = {"metric": "top1", "max_drop": 0.05}
N = 8  # as many as --dump-layers delivers


def studied(folder, *, target="j6m", proto=None, n=N, **spec):
    spec.setdefault("goal", [TOP1])
    run = MemoryRun(local_problem(write(folder, proto, n=n), target=target, dumps_layers=True, **spec))
    return run, run.run()


def document(run, finished):
    return json.loads(run.files(finished)["layers.json"])


def every_value(data, feeds):
    """All values of a model by ONNX Runtime without optimization."""
    proto = onnx.load_from_string(data)
    have = {value.name for value in proto.graph.output}
    names = value_names(proto)
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in have)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, feeds), strict=True))


def dumped(run, finished, kind):
    """Dumped values of all samples, stacked."""
    files = []
    for n in range(N):
        with np.load(io.BytesIO(run.get(large_files(finished)[f"layers/{kind}/{n}.npz"]))) as archive:
            files.append({name: archive[name] for name in archive.files})
    return {name: np.stack([one[name] for one in files]).astype(np.float64) for name in files[0]}


def expected(x, y):
    noise = np.sum((y - x) ** 2)
    sqnr = 200.0 if noise == 0 else min(200.0, 10 * np.log10(np.sum(x**2) / noise))
    cosine = np.sum(x * y) / np.sqrt(np.sum(x**2) * np.sum(y**2))
    return sqnr, cosine


@pytest.fixture(scope="module", params=["j6m", "j6p", "tx5105c", "ort-cpu"])
def study(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    return (folder, *studied(folder, target=request.param))


def test_figures_are_those_of_the_dumped_arrays(study):
    _, run, finished = study
    exact, rounded = dumped(run, finished, "float"), dumped(run, finished, "quantized")
    found = document(run, finished)
    assert (found["samples"], found["evaluator"]) == (N, run.problem.evaluator)
    assert len(found["layers"]) >= 5
    for layer in found["layers"]:
        x, y = exact[layer["tensor"]], rounded[layer["tensor"]]
        sqnr, cosine = expected(x, y)
        assert layer["n"] == x.size
        assert layer["sqnr_db"] == pytest.approx(sqnr, abs=0.5 if sqnr < 60 else 3.0)  # another optimization level
        assert layer["cosine"] == pytest.approx(cosine, abs=1e-5)
        assert layer["float"] == pytest.approx([x.min(), x.max()], rel=1e-4, abs=1e-5)
        tolerance = (layer["scale"] or 1e-3) * 1.01
        assert layer["quantized"] == pytest.approx([y.min(), y.max()], abs=tolerance)
        assert sum(layer["histogram"]["counts"]) == x.size


def test_histogram_grid_and_clipping_are_those_of_the_float_values(study):
    _, run, finished = study
    runner, configuration = ItemRunner(run.problem, run), finished.chosen.configuration
    placement, grids = runner.placement(configuration), runner.grids(configuration)
    network = runner.loaded.structure.network
    names = {tensor.name: t for t, tensor in enumerate(network.tensors)}
    exact = dumped(run, finished, "float")
    seen = 0
    for layer in document(run, finished)["layers"]:
        tensor, x = names[layer["tensor"]], exact[layer["tensor"]]
        counts, _ = np.histogram(x, bins=64, range=(layer["histogram"]["low"], layer["histogram"]["high"]))
        assert np.abs(np.cumsum(counts) - np.cumsum(layer["histogram"]["counts"])).max() <= 0.01 * x.size
        assert layer["format"] == placement.stored[tensor].value
        if placement.stored[tensor].is_integer:
            grid = grids.activation(tensor, placement.stored[tensor])
            assert (layer["scale"], layer["zero_point"]) == (grid.scale, grid.zero_point)
            assert layer["clip"] == [grid.low, grid.high]
            share = np.mean((x < grid.low) | (x > grid.high))
            assert layer["clipped_share"] == pytest.approx(share, abs=2e-3)
            seen += 1
    assert seen >= 2 or run.problem.target.name == "ort-cpu"


def test_the_rounded_model_by_hand_gives_the_same_ratio(tmp_path):
    run, finished = studied(tmp_path, search={"evaluator": "fake_quant"})
    x = np.load(tmp_path / "evaluation.npz")["x"]
    exact = every_value((tmp_path / "model.onnx").read_bytes(), {"x": x})
    rounded = every_value(run.files(finished)["model.qdq.onnx"], {"x": x})
    seen = 0
    for layer in document(run, finished)["layers"]:
        value = rounded.get(f"{layer['tensor']}_DequantizeLinear_Output")
        if value is not None and layer["tensor"] in exact:
            sqnr, cosine = expected(exact[layer["tensor"]].astype(np.float64), value.astype(np.float64))
            assert layer["sqnr_db"] == pytest.approx(sqnr, abs=0.2)
            assert layer["cosine"] == pytest.approx(cosine, abs=1e-6)
            seen += 1
    assert seen >= 3


def test_layers_stand_in_depth_order_and_read_backwards(study):
    _, run, finished = study
    layers = document(run, finished)["layers"]
    assert [layer["depth"] for layer in layers] == list(range(len(layers)))
    assert layers[0]["op_type"] == "Input"
    assert all(other < layer["depth"] for layer in layers for other in layer["reads"])
    network = finished.described.network
    groups = [int(layer["group"][1:]) for layer in layers if layer["group"]]
    assert groups == sorted(groups)
    assert {layer["tensor"] for layer in layers} == {tensor.name for tensor in network.tensors}
    effective = finished.chosen.configuration.effective
    for layer in layers:
        assert layer["precision"] == (effective[int(layer["group"][1:])].value if layer["group"] else None)


def test_the_table_holds_what_the_document_holds(study):
    _, run, finished = study
    files = run.files(finished)
    rows = list(csv.DictReader(io.StringIO(files["layers.csv"].decode())))
    layers = json.loads(files["layers.json"])["layers"]
    assert len(rows) == len(layers)
    for row, layer in zip(rows, layers, strict=True):
        assert (row["op_name"], row["tensor"], row["format"]) == (layer["op_name"], layer["tensor"], layer["format"])
        for name in ("sqnr_db", "cosine", "rounding_db", "fall_db", "scale", "clipped_share"):
            assert row[name] == ("" if layer[name] is None else repr(layer[name]))
        assert [row["float_min"], row["float_max"]] == [repr(end) for end in layer["float"]]
    artifacts = json.loads(files["result.json"])["artifacts"]
    assert (artifacts["layers"], artifacts["layers_json"]) == ("layers.csv", "layers.json")


def test_the_time_it_takes_is_no_search_time(study):
    _, run, _ = study
    result = next(result for result in run.results.values() if result.kind == "profile")
    assert search_seconds([result]) == 0
    timed = type(result)(result.digest, result.kind, result.data, result.blobs, seconds=5.0)
    assert search_seconds([timed]) == 0


def test_it_is_computed_once_and_a_killed_study_goes_on_with_it_alone(tmp_path):
    local = local_problem(write(tmp_path, n=24), goal=[TOP1])
    run = MemoryRun(local)
    runner, replay = ItemRunner(run.problem, run), Replay(run.problem)
    while (tasks := replay.advance(run.results))[0].kind.name != "profile":
        for item, raw in run_items(runner, tasks[0]):
            run.keep(item, raw)
    again = MemoryRun(local, results=dict(run.results), blobs=dict(run.blobs))
    finished = again.run()
    assert [item.kind.name for item in again.order] == ["profile"]
    other = MemoryRun(local)
    assert other.files(other.run())["layers.json"] == again.files(finished)["layers.json"]
    assert set(other.computed.values()) == {1}


def test_few_samples_are_run_and_their_number_is_told(tmp_path):
    run, finished = studied(tmp_path, n=50)
    assert document(run, finished)["samples"] == PROFILE_SAMPLES
    one, _ = studied(tmp_path / "fixed", proto=conv_net(batch="1"), n=10)
    item = next(item for item in one.order if item.kind.name == "profile")
    assert item.work.samples == 10


def test_without_evaluation_data_the_calibration_samples_are_compared(tmp_path):
    run, finished = studied(tmp_path, n=20, goal=[], data={"calibration": "random", "evaluation": None})
    found = document(run, finished)
    assert found["samples"] == PROFILE_SAMPLES
    assert all(layer["sqnr_db"] is not None for layer in found["layers"])


def test_an_overflow_is_a_reason_and_no_number(tmp_path):
    """A product beyond binary16: finite in float, infinite where it runs in fp16."""
    constants = {"w": np.full((64, 10), 1.0), "big": np.array(3.0e5)}
    nodes = [
        node("Flatten", "x", "f", "flat"),
        node("Mul", "f big", "m", "scale"),
        node("Sigmoid", "m", "s", "squash"),
        node("MatMul", "s w", "logits", "head"),
    ]
    proto = model(nodes, ["x[N,1,8,8]"], ["logits[N,10]"], constants)
    pins = [{"match": "scale", "exactly": "fp16"}, {"match": "squash", "exactly": "fp16"}]
    run, finished = studied(tmp_path, proto=proto, target="j6p", n=20, pins=pins)
    data = run.files(finished)["layers.json"].decode()
    found = json.loads(data, parse_constant=pytest.fail)
    layer = next(layer for layer in found["layers"] if layer["op_name"] == "scale")
    assert layer["format"] == "fp16"
    assert layer["sqnr_db"] is None
    assert "not finite" in layer["reason"]
    assert found["layers"][found["start"]]["op_name"] == "scale"
    assert found["summary"].startswith("From scale on values are not finite")
