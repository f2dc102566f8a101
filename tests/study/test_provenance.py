"""A result names what it rests on: model, data, job, versions, and what only the driver knows."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
import numpy as np
import pytest

from search.canonical import digest_bytes
from search.data.class_counts import class_counts
from search.export.report.provenance import provenance_rows
from search.records.result import Result
from search.study.provenance import Circumstances
from search.study.result import Measured, compose
from service.local.circumstances import circumstances
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import write

SCHEMA = json.loads(resources.files("search.records").joinpath("result.schema.json").read_text())
MADE = Circumstances(command="bitbudget search model.onnx", machine="a processor", date="2026-12-01T07:00:00+00:00")


@pytest.fixture(scope="module")
def delivered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    files = write(folder, n=40)
    memory = MemoryRun(local_problem(files, goal=[{"metric": "top1", "max_drop": 0.2}]))
    finished = memory.run()
    return files, compose(memory.problem, finished, Measured(seconds=2.5, stopped=None, made=MADE), memory.get)


def test_result_json_names_everything_and_fits_its_schema(delivered):
    files, made = delivered
    document = json.loads(made["result.json"])
    jsonschema.validate(document, SCHEMA)
    found = Result.from_json(document).provenance
    assert found is not None
    assert (found.command, found.machine, found.date, found.seconds) == (MADE.command, MADE.machine, MADE.date, 2.5)
    assert found.model.file == "model.onnx"
    assert found.model.digest == digest_bytes(files.model.read_bytes())
    assert found.model.bytes == files.model.stat().st_size
    assert found.model.opset == 17
    assert [(one.name, one.dtype, one.shape) for one in found.model.inputs] == [("x", "float32", (None, 1, 8, 8))]
    calibration, evaluation = found.data
    assert (calibration.role, calibration.file, calibration.samples) == ("calibration", "calibration.npz", 32)
    assert (evaluation.role, evaluation.file, evaluation.samples) == ("evaluation", "evaluation.npz", 40)
    labels = np.load(files.evaluation)["labels"]
    assert evaluation.classes == {"labels": {str(k): int((labels == k).sum()) for k in np.unique(labels)}}
    assert found.job["target"]["name"] == "j6m"
    assert "onnxruntime" in found.versions


def test_the_report_says_it_in_words(delivered):
    _, made = delivered
    page = made["report.html"].decode()
    for text in ("What this rests on", "calibration.npz", "evaluation.npz", MADE.command, MADE.machine, MADE.date):
        assert text in page


def test_results_of_before_have_none():
    assert provenance_rows(None) == ()


class Labels:
    label_keys = ("classes", "boxes", "numbers", "many")

    def labels(self, key):
        return {
            "classes": np.array([1, 1, 0]),
            "boxes": np.zeros((3, 4), np.int64),
            "numbers": np.zeros(3, np.float32),
            "many": np.arange(3000),
        }[key]


def test_only_classes_are_counted():
    assert class_counts(Labels()) == {"classes": {"0": 1, "1": 2}}


def test_a_result_that_is_printed_again_keeps_its_date(tmp_path):
    path = tmp_path / "result.json"
    first = circumstances(path, 1.25, "bitbudget search a")
    path.write_text(json.dumps({"provenance": {**vars_of(first), "seconds": 1.25}}))
    again = circumstances(path, 1.25, "bitbudget search b")
    assert (again.command, again.machine, again.date) == (first.command, first.machine, first.date)
    assert circumstances(path, 2.0, "bitbudget search b").command == "bitbudget search b"
    path.write_text("no json")
    assert circumstances(path, 1.25, None).command is None


def vars_of(one):
    return {"command": one.command, "machine": one.machine, "date": one.date}
