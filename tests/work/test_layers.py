"""``--dump-layers``: every intermediate result by its name in the model, float and quantized, one sample at a time."""

from __future__ import annotations

import io
import json

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from search.study.delivering import LAYER_SAMPLES
from search.study.plan import Replay
from search.study.result import large_files
from search.work.inner_values import value_names
from search.work.item_runner import ItemRunner
from search.work.kinds.layers import npz_bytes
from search.work.kinds.registry import run_items
from tests.builders import batch_norm, batch_norm_constants, conv, model, node, save
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import conv_net, labels_of, pictures, write

TOP1 = {"metric": "top1", "max_drop": 0.05}


def dumped(folder, *, target="j6m", proto=None, n=40, **spec):
    spec.setdefault("goal", [TOP1])
    spec.setdefault("search", {"evaluator": "fake_quant"})
    run = MemoryRun(local_problem(write(folder, proto, n=n), target=target, dumps_layers=True, **spec))
    return run, run.run()


def arrays(run, finished, name):
    with np.load(io.BytesIO(run.get(large_files(finished)[name]))) as archive:
        return {key: archive[key] for key in archive.files}


def every_value(path, feeds):
    """All values of a model, by ONNX Runtime without optimization."""
    proto = onnx.load(path)
    names = value_names(proto)
    have = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in have)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, feeds), strict=True))


@pytest.fixture(scope="module", params=["j6m", "j6p", "tx5105c", "ort-cpu"])
def dump(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layers")
    return (folder, *dumped(folder, target=request.param))


def test_the_first_samples_are_delivered_one_file_each(dump):
    _, run, finished = dump
    assert set(large_files(finished)) == {
        f"layers/{kind}/{n}.npz" for kind in ("float", "quantized") for n in range(LAYER_SAMPLES)
    }
    artifacts = run.document(finished)["artifacts"]
    assert artifacts["layers_float_0"] == "layers/float/0.npz"
    assert set(large_files(finished)) <= set(artifacts.values())


def test_float_values_are_those_of_the_users_model(dump):
    folder, run, finished = dump
    data = np.load(folder / "evaluation.npz")
    for n in (0, 3):
        feeds = {"x": data["x"][n : n + 1]}
        expected = {**feeds, **every_value(folder / "model.onnx", feeds)}
        found = arrays(run, finished, f"layers/float/{n}.npz")
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4)


def test_quantized_values_are_rounded_as_the_configuration_stores_them(dump):
    _, run, finished = dump
    runner, configuration = ItemRunner(run.problem, run), finished.chosen.configuration
    placement, grids = runner.placement(configuration), runner.grids(configuration)
    network = runner.loaded.structure.network
    found = arrays(run, finished, "layers/quantized/2.npz")
    seen = 0
    for t, tensor in enumerate(network.tensors):
        assert tensor.name in found
        if placement.stored[t].is_integer:
            grid = grids.activation(t, placement.stored[t])
            steps = found[tensor.name] / np.float32(grid.scale)
            np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
            seen += 1
    assert seen >= 3 or run.problem.target.name != "tx5105c"


def test_the_last_quantized_value_is_the_output_of_the_exported_model(dump):
    folder, run, finished = dump
    exported = run.files(finished)["model.qdq.onnx"]
    options = ort.SessionOptions()
    if run.problem.target.name != "ort-cpu":
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    x = np.load(folder / "evaluation.npz")["x"]
    for n in range(LAYER_SAMPLES):
        logits = session.run(["logits"], {"x": x[n : n + 1]})[0]
        np.testing.assert_allclose(arrays(run, finished, f"layers/quantized/{n}.npz")["logits"], logits, atol=1e-2)


def test_one_item_holds_one_sample(dump):
    _, run, _ = dump
    items = [item for item in run.order if item.kind.name == "layers"]
    assert [item.work.sample for item in items] == list(range(LAYER_SAMPLES))
    for item in items:
        for digest in run.results[item.digest].blobs.values():
            with np.load(io.BytesIO(run.get(digest))) as archive:
                assert all(archive[name].shape[0] == 1 for name in archive.files)


@pytest.mark.parametrize("evaluator", ["integer", "fake_quant"])
def test_values_are_those_of_the_evaluator_of_record(tmp_path, evaluator):
    run, finished = dumped(tmp_path, target="tx5105c", search={"evaluator": evaluator})
    runner, configuration = ItemRunner(run.problem, run), finished.chosen.configuration
    placement, grids = runner.placement(configuration), runner.grids(configuration)
    found = arrays(run, finished, "layers/quantized/1.npz")
    for t, tensor in enumerate(runner.loaded.structure.network.tensors):
        steps = found[tensor.name] / np.float32(grids.activation(t, placement.stored[t]).scale)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    session = runner.evaluable(configuration, evaluator, ()).session
    x = np.load(tmp_path / "evaluation.npz")["x"][1:2]
    np.testing.assert_allclose(found["logits"], session.run({"x": x}, ["logits"])["logits"], atol=1e-5)


def renamed_net():
    """A batch normalization that is folded, and an Identity that is dropped."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(0, 0.4, (8, 1, 3, 3)),
        **batch_norm_constants("bn", 8, rng),
        "w3": rng.normal(0, 1, (8, 10)),
    }
    nodes = [
        conv("conv", "x", "before", weight="w", pads=[1, 1, 1, 1]),
        batch_norm("bn", "before", "after", "bn"),
        node("Identity", "after", "same", "keep"),
        node("Relu", "same", "file", "relu"),  # np.savez has no array of this name
        node("GlobalAveragePool", "file", "/p", "pool"),
        node("Flatten", "/p", "../f", "flat"),
        node("MatMul", "../f w3", "logits", "head"),
    ]
    return model(nodes, ["x[1,1,8,8]"], ["logits[1,10]"], constants)


def test_values_keep_the_names_of_the_users_model_whatever_they_are(tmp_path):
    proto = renamed_net()
    x = pictures(12, seed=2)
    save(proto, tmp_path)
    np.savez(tmp_path / "calibration.npz", x=pictures(8, seed=1))
    np.savez(tmp_path / "evaluation.npz", x=x, **labels_of(proto, x))
    run, finished = dumped(tmp_path, proto=proto, n=12)
    exact, rounded = (arrays(run, finished, f"layers/{kind}/0.npz") for kind in ("float", "quantized"))
    assert {"x", "before", "after", "same", "file", "/p", "../f", "logits"} == set(exact)
    assert set(exact) - set(rounded) == {"before"}  # folded: there is no such value any more
    np.testing.assert_array_equal(rounded["same"], rounded["after"])
    for name, value in rounded.items():
        assert value.shape == exact[name].shape
        np.testing.assert_allclose(value, exact[name], atol=0.2 * np.abs(exact[name]).max())


def test_without_evaluation_data_the_calibration_samples_are_run(tmp_path):
    run, finished = dumped(tmp_path, n=20, goal=[], data={"calibration": "random", "evaluation": None})
    assert len(large_files(finished)) == 2 * LAYER_SAMPLES
    assert json.loads(run.files(finished)["result.json"])["outcome"] == "not_evaluated"


def test_a_finished_study_only_adds_the_dump(tmp_path):
    files = write(tmp_path, n=40)
    plain = MemoryRun(local_problem(files, goal=[TOP1]))
    plain.run()
    more = local_problem(files, goal=[TOP1], dumps_layers=True)
    assert more.identity == plain.local.identity
    again = MemoryRun(more, results=plain.results, blobs=plain.blobs)
    again.run()
    assert {item.kind.name for item in again.order} == {"layers"}


def test_a_dump_that_was_interrupted_goes_on_where_it_was(tmp_path):
    local = local_problem(write(tmp_path, conv_net(batch="1"), n=24), goal=[TOP1], dumps_layers=True)
    run = MemoryRun(local)
    runner, replay = ItemRunner(run.problem, run), Replay(run.problem)
    while (tasks := replay.advance(run.results))[0].kind.name != "layers":
        for item, raw in run_items(runner, tasks[0]):
            run.keep(item, raw)
    item, raw = next(run_items(runner, tasks[0]))
    run.keep(item, raw)
    missing = [one for task in replay.advance(run.results) for one in task.items]
    assert [one.work.sample for one in missing] == list(range(1, LAYER_SAMPLES))


def test_equal_arrays_give_equal_bytes_and_any_name_will_do():
    values = {"file": np.arange(3), "/a//b": np.float32(1.5).reshape(()), "allow_pickle": np.zeros((0, 2))}
    assert npz_bytes(values) == npz_bytes(dict(values))
    with np.load(io.BytesIO(npz_bytes(values))) as archive:
        assert set(archive.files) == set(values)
        assert all(np.array_equal(archive[name], value) for name, value in values.items())
