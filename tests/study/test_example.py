"""The example on every chip, against ONNX Runtime used by hand."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from bitbudget.__main__ import main
from tests.study.memory import without_times

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits"
SCHEMA = Path(__file__).parents[2] / "search" / "records" / "result.schema.json"

pytestmark = pytest.mark.slow


def searched(out: Path, target: str) -> dict:
    with pytest.raises(SystemExit) as end:
        main(["search", "--spec", str(EXAMPLE / "job.yaml"), "--target", target, "--out", str(out)])
    assert end.value.code == 0
    result = json.loads((out / "result.json").read_text())
    jsonschema.validate(result, json.loads(SCHEMA.read_text()))
    return result


@pytest.mark.parametrize("target", ["j6e", "j6m", "j6p", "j6h", "ort-cpu"])
def test_the_delivered_model_has_the_stated_accuracy(tmp_path, target):
    result = searched(tmp_path / "out", target)
    metric = result["metrics"][0]
    assert metric["chosen"] >= metric["required"]
    model = onnx.load(tmp_path / "out" / "model.qdq.onnx")
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    data = np.load(EXAMPLE / "evaluation.npz")
    logits = session.run(["logits"], {"image": data["image"]})[0]
    assert np.mean(np.argmax(logits, axis=1) == data["labels"]) == pytest.approx(metric["qdq_unoptimized"], abs=2e-3)


def test_the_same_search_gives_the_same_result(tmp_path):
    results = [searched(tmp_path / name, "j6m") for name in ("a", "b")]
    assert without_times(results[0]) == without_times(results[1])
    files = ["model.qdq.onnx", "ort_overrides.json", "sensitivity.csv", "qconfig.csv", "horizon/quant_config.json"]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
