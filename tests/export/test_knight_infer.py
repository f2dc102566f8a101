"""``knight/infer.py`` run as the tool runs it: against an executor with forward, input_nodes, input_types, iteration,
batch_size; its number is compared with this package's own readers and metrics.
"""

from __future__ import annotations

import ast
import importlib.util
import math
import subprocess
import sys
import types
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from PIL import Image

from search.data.inputs import InputInfo
from search.deployment.deployment import ModelInput
from search.deployment.knight_plan import KnightMetric
from search.export.knight import infer_script
from search.metrics.registry import make_metric
from search.spec.job import Preprocess
from tests.builders import model, node
from tests.data.reading import open_documented as open_data
from tests.export.deployments import chain_deployment
from tests.export.test_knight import plan

RNG = np.random.default_rng(0)
N, CLASSES = 23, 7
X = RNG.normal(size=(N, 3)).astype(np.float32)
WEIGHTS = RNG.normal(size=(3, CLASSES)).astype(np.float32)


@dataclass
class Executor:
    """What the tool gives an infer function."""

    function: object
    input_nodes: list[str] = field(default_factory=lambda: ["x"])
    input_types: dict[str, int] = field(default_factory=lambda: {"x": 1})
    iteration: int = 10
    batch_size: int = 4
    dataset: str | None = None
    seen: list[np.ndarray] = field(default_factory=list)

    def forward(self, *arrays):
        self.seen.append(arrays[0])
        return self.function(*arrays)


def load(folder: Path, monkeypatch, *, metric, outputs=("y",), inputs=("x",), registered=None, **changes):
    """The script as a module, with the tool's registry in place."""
    registry = {} if registered is None else registered

    class Register:
        @staticmethod
        def register(name):
            return lambda function: registry.setdefault(name, function)

    for name in ("onnx_quantize_tool", "onnx_quantize_tool.common", "onnx_quantize_tool.common.register"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["onnx_quantize_tool.common.register"].onnx_infer_func = Register
    network = replace(chain_deployment([]).network, outputs=tuple(outputs))
    made = chain_deployment([], network=network, inputs=tuple(ModelInput(name=name, shape=(1, 3)) for name in inputs))
    settings = plan(**{"metric": metric, "ranks": dict.fromkeys(inputs, 2), **changes})
    (folder / "knight").mkdir(parents=True, exist_ok=True)
    path = folder / "knight/infer.py"
    path.write_text(infer_script(made, settings))
    spec = importlib.util.spec_from_file_location("infer_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, registry


def metric(name, labels="labels", **changes):
    fidelity = name in ("cosine", "sqnr_db", "l1", "atol")
    return KnightMetric(name=name, output="y", labels=None if fidelity else labels, is_fidelity=fidelity, **changes)


def scores(x):
    return [x @ WEIGHTS]


LABELS = {
    "top1": RNG.integers(0, CLASSES, N),
    "top5": RNG.integers(0, CLASSES, N),
    "f1": RNG.integers(0, CLASSES, N),
    "mae": RNG.normal(size=(N, CLASSES)).astype(np.float32),
    "rmse": RNG.normal(size=(N, CLASSES)).astype(np.float32),
}


@pytest.mark.parametrize("name", sorted(LABELS))
@pytest.mark.parametrize("batch", [1, 4, 23, 32])
def test_metrics_against_labels_are_ours(tmp_path, monkeypatch, name, batch):
    np.savez(tmp_path / "eval.npz", x=X, labels=LABELS[name])
    module, _ = load(tmp_path, monkeypatch, metric=metric(name))
    executor = Executor(scores, iteration=math.ceil(N / batch), batch_size=batch)
    found = module.evaluate(executor, str(tmp_path / "eval.npz"))
    ours = make_metric(name)
    expected = ours.value([ours.measure(scores(X)[0], scores(X)[0], LABELS[name])])
    assert found == pytest.approx(expected, rel=1e-6)
    assert {len(fed) for fed in executor.seen} == {batch}  # the last one is filled up


def float_model(folder):
    proto = model([node("MatMul", "x w", "y", "m")], ["x[N,3]"], ["y[N,7]"], {"w": WEIGHTS})
    onnx.save(proto, folder / "ort_float.onnx")


@pytest.mark.parametrize(("name", "percentile"), [("cosine", None), ("sqnr_db", None), ("l1", None), ("atol", 50.0)])
def test_metrics_against_float_run_the_float_model_beside_the_script(tmp_path, monkeypatch, name, percentile):
    np.savez(tmp_path / "eval.npz", x=X)
    float_model(tmp_path)
    module, _ = load(tmp_path, monkeypatch, metric=metric(name, percentile=percentile))
    noise = RNG.normal(0, 0.1, (N, CLASSES)).astype(np.float32)
    rest = iter(np.split(noise, range(4, N, 4)))

    def rounded(x):
        part = next(rest)
        return [x @ WEIGHTS + np.pad(part, ((0, len(x) - len(part)), (0, 0)))]

    found = module.evaluate(Executor(rounded), str(tmp_path / "eval.npz"))
    ours = make_metric(name, percentile)
    expected = ours.value([ours.measure(X @ WEIGHTS + noise, X @ WEIGHTS, None)])
    assert found == pytest.approx(expected, rel=1e-4)


def test_segmentation_counts_pixels_as_we_do(tmp_path, monkeypatch):
    maps = RNG.normal(size=(N, 4, 5, 6)).astype(np.float32)
    labels = RNG.integers(-1, 4, (N, 5, 6))
    labels[0, 0] = 255
    np.savez(tmp_path / "eval.npz", x=np.arange(N, dtype=np.float32)[:, None], labels=labels)
    module, _ = load(tmp_path, monkeypatch, metric=metric("miou"))
    executor = Executor(lambda x: [maps[x[:, 0].astype(int)]])
    ours = make_metric("miou")
    expected = ours.value([ours.measure(maps, maps, labels)])
    assert module.evaluate(executor, str(tmp_path / "eval.npz")) == pytest.approx(expected)


def test_a_metric_of_the_users_own_is_run_from_its_file(tmp_path, monkeypatch):
    proto = model(
        [node("Sub", "outputs labels", "d", "sub"), node("ReduceSum", "d axes", "v", "sum", keepdims=0)],
        ["outputs[N,7]", "labels[N,7]"],
        ["v[N]"],
        {"axes": np.array([1])},
    )
    (tmp_path / "knight").mkdir()
    onnx.save(proto, tmp_path / "knight/metric.onnx")
    np.savez(tmp_path / "eval.npz", x=X, labels=LABELS["mae"].astype(np.float64))
    module, _ = load(tmp_path, monkeypatch, metric=metric("onnx:mine.onnx"))
    found = module.evaluate(Executor(scores), str(tmp_path / "eval.npz"))
    assert found == pytest.approx(float((scores(X)[0] - LABELS["mae"]).sum(axis=1).mean()), rel=1e-4)


def test_calibration_feeds_the_chosen_samples_in_the_order_of_the_search(tmp_path, monkeypatch):
    order = tuple(int(i) for i in np.random.default_rng(5).permutation(N)[:12])
    np.savez(tmp_path / "calib.npz", x=X)
    registered = {}
    changes = {"order": order, "n_calibration": N, "calibration_file": str(tmp_path / "calib.npz")}
    load(tmp_path, monkeypatch, metric=metric("top1"), registered=registered, **changes)
    assert set(registered) == {"bitbudget_calibrate", "bitbudget_evaluate"}
    executor = Executor(scores, iteration=3, batch_size=4)
    assert registered["bitbudget_calibrate"](executor) == 1.0  # no labels: a constant, as the tool's manual has it
    np.testing.assert_array_equal(np.concatenate(executor.seen), X[list(order)])


def test_the_path_of_the_executor_goes_before_the_one_of_the_search(tmp_path, monkeypatch):
    np.savez(tmp_path / "other.npz", x=X[:4], labels=LABELS["top1"][:4])
    registered = {}
    load(tmp_path, monkeypatch, metric=metric("top1"), registered=registered, evaluation_file="./missing.npz")
    executor = Executor(scores, dataset=str(tmp_path / "other.npz"), iteration=1)
    expected = np.mean(scores(X[:4])[0].argmax(axis=1) == LABELS["top1"][:4])
    assert registered["bitbudget_evaluate"](executor) == pytest.approx(expected)


def test_the_tool_stops_the_run_after_its_iterations(tmp_path, monkeypatch):
    np.savez(tmp_path / "eval.npz", x=X, labels=LABELS["top1"])
    module, _ = load(tmp_path, monkeypatch, metric=metric("top1"))
    executor = Executor(scores, iteration=2)
    expected = np.mean(scores(X[:8])[0].argmax(axis=1) == LABELS["top1"][:8])
    assert module.evaluate(executor, str(tmp_path / "eval.npz")) == pytest.approx(expected)
    assert len(executor.seen) == 2


def test_only_the_evaluation_samples_of_the_search_count(tmp_path, monkeypatch):
    rows = (1, 4, 5, 9, 20)
    np.savez(tmp_path / "eval.npz", x=X, labels=LABELS["top1"])
    module, _ = load(tmp_path, monkeypatch, metric=metric("top1"), evaluation_rows=rows)
    expected = np.mean(scores(X[list(rows)])[0].argmax(axis=1) == LABELS["top1"][list(rows)])
    assert module.evaluate(Executor(scores), str(tmp_path / "eval.npz")) == pytest.approx(expected)


def test_inputs_come_in_the_types_and_the_order_of_the_executor(tmp_path, monkeypatch):
    whole = RNG.integers(0, 200, (N, 2)).astype(np.uint8)
    np.savez(tmp_path / "eval.npz", a=X, b=whole, labels=LABELS["top1"])
    module, _ = load(tmp_path, monkeypatch, metric=metric("top1"), inputs=("a", "b"))
    taken = []

    def forward(b, a):
        taken.append((b.dtype, a.dtype, b.copy()))
        return scores(a)

    executor = Executor(forward, input_nodes=["b", "a"], input_types={"b": 6, "a": 1})
    module.evaluate(executor, str(tmp_path / "eval.npz"))
    assert {(b, a) for b, a, _ in taken} == {(np.dtype(np.int32), np.dtype(np.float32))}
    np.testing.assert_array_equal(np.concatenate([b for *_, b in taken])[:N], whole)


def test_the_output_of_the_goal_is_read_among_several(tmp_path, monkeypatch):
    np.savez(tmp_path / "eval.npz", x=X, labels=LABELS["top1"])
    module, _ = load(tmp_path, monkeypatch, metric=metric("top1"), outputs=("other", "y"))
    expected = np.mean(scores(X)[0].argmax(axis=1) == LABELS["top1"])
    path = str(tmp_path / "eval.npz")
    assert module.evaluate(Executor(lambda x: [0 * x, *scores(x)]), path) == pytest.approx(expected)
    turned = Executor(lambda x: [*scores(x), 0 * x])
    turned.output_node_list = ["y", "other"]
    assert module.evaluate(turned, path) == pytest.approx(expected)


def test_a_model_of_batch_one_without_sample_axis_is_read(tmp_path, monkeypatch):
    np.savez(tmp_path / "eval.npz", x=X, labels=LABELS["top1"])
    module, _ = load(tmp_path, monkeypatch, metric=metric("top1"))
    executor = Executor(lambda x: [scores(x)[0][0]], batch_size=1, iteration=N)
    expected = np.mean(scores(X)[0].argmax(axis=1) == LABELS["top1"])
    assert module.evaluate(executor, str(tmp_path / "eval.npz")) == pytest.approx(expected)


def opened(path, shape, preprocess=None):
    return open_data(path, [InputInfo(name="x", dtype=np.dtype(np.float32), shape=shape)], preprocess)


@pytest.mark.parametrize("batch_axis", [False, True])
@pytest.mark.parametrize("one_file", [False, True])
def test_a_directory_of_arrays_is_read_as_we_read_it(tmp_path, monkeypatch, batch_axis, one_file):
    root = tmp_path / "data"
    (root / "x").mkdir(parents=True)
    for n, row in enumerate(X):
        np.save(root / f"x/img_{n}.npy", row[None] if batch_axis else row)
    if one_file:
        np.save(root / "labels.npy", LABELS["top1"])
    else:
        (root / "labels").mkdir()
        for n, label in enumerate(LABELS["top1"]):
            np.save(root / f"labels/{n}.npy", label)
    module, _ = load(tmp_path, monkeypatch, metric=metric("top1"))
    executor = Executor(scores)
    found = module.evaluate(executor, str(root))
    source = opened(root, (None, 3))
    np.testing.assert_array_equal(np.concatenate(executor.seen)[:N], source.batch(range(N))["x"])
    assert found == pytest.approx(np.mean(scores(X)[0].argmax(axis=1) == LABELS["top1"]))


def pictures(root, classes):
    rng = np.random.default_rng(4)
    for name in classes:
        (root / name).mkdir(parents=True)
        for n in range(3):
            size = rng.integers(12, 20, 2)
            pixels = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"p{n * 5}.png")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("classes", [("cat", "ant", "bee"), ("2", "10", "0")], ids=["named", "numbered"])
def test_images_are_prepared_as_we_prepare_them(tmp_path, monkeypatch, layout, order, classes):
    root = tmp_path / "images"
    pictures(root, classes)
    given = {"order": order, "resize": 10, "crop": [8, 6], "mean": [1.0, 2.0, 3.0], "scale": 0.5, "layout": layout}
    preprocess = Preprocess.model_validate(given)
    shape = (None, 3, 8, 6) if layout == "NCHW" else (None, 8, 6, 3)
    source = opened(root, shape, preprocess)
    changes = {"preprocess": {**preprocess.model_dump(mode="json"), "channels": 3}}
    module, _ = load(tmp_path, monkeypatch, metric=metric("top1"), **changes)
    executor = Executor(lambda x: [np.eye(11, dtype=np.float32)[np.arange(len(x)) % 11]], batch_size=9, iteration=1)
    found = module.evaluate(executor, str(root))
    np.testing.assert_array_equal(executor.seen[0], source.batch(range(9))["x"])
    assert found == pytest.approx(np.mean(np.arange(9) % 11 == source.labels("labels")))


@pytest.mark.parametrize("header", ["", "file,label,size\n"])
def test_labels_of_images_may_stand_in_a_table(tmp_path, monkeypatch, header):
    root = tmp_path / "images"
    pictures(root, ("a", "b"))
    lines = [f"{name}/p{n * 5}.png,{i % 3}" + (",1.5" if header else "") for i, (name, n) in enumerate(
        (name, n) for name in ("b", "a") for n in range(3))]  # fmt: skip
    (root / "labels.csv").write_text(header + "\n".join(lines) + "\n")
    preprocess = Preprocess.model_validate({"resize": 12, "crop": 8})
    source = opened(root, (None, 3, 8, 8), preprocess)
    changes = {"preprocess": {**preprocess.model_dump(mode="json"), "channels": 3}}
    module, _ = load(tmp_path, monkeypatch, metric=metric("top1"), **changes)
    np.testing.assert_array_equal(module.open_samples(str(root)).labels("labels"), source.labels("labels"))
    if header:
        np.testing.assert_array_equal(module.open_samples(str(root)).labels("size"), source.labels("size"))


def test_the_script_needs_nothing_but_numpy_and_an_old_python(tmp_path, monkeypatch):
    load(tmp_path, monkeypatch, metric=metric("top1"))
    source = (tmp_path / "knight/infer.py").read_text()
    ast.parse(source, feature_version=(3, 7))
    code = "import sys; sys.modules['PIL'] = sys.modules['onnxruntime'] = None; import infer"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "knight", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_session_of_a_real_model_gives_its_own_metric(tmp_path, monkeypatch):
    float_model(tmp_path)
    np.savez(tmp_path / "eval.npz", x=X, labels=LABELS["top1"])
    session = ort.InferenceSession(str(tmp_path / "ort_float.onnx"), providers=["CPUExecutionProvider"])
    module, _ = load(tmp_path, monkeypatch, metric=metric("top1"))
    executor = Executor(lambda x: session.run(None, {"x": x}))
    expected = np.mean((X @ WEIGHTS).argmax(axis=1) == LABELS["top1"])
    assert module.evaluate(executor, str(tmp_path / "eval.npz")) == pytest.approx(expected)
