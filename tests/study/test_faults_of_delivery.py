"""Whatever fails when a search has its answer costs the file it was for, and nothing else."""

from __future__ import annotations

import json

import pytest

from search.errors import ExportMismatchError, UsageError
from search.export import files as export_module
from search.export import horizon, knight
from search.records.result import Result
from search.records.verdict import Outcome
from search.study import result as result_module
from search.study.plan import Replay
from search.work.item_runner import ItemRunner
from search.work.kinds import export as export_kind
from search.work.kinds import registry
from search.work.kinds.registry import KINDS, run_items
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import write

DELIVERING = {name for name, kind in KINDS.items() if kind.delivers}
GOAL = [{"metric": "top1", "max_drop": 0.2, "labels": "labels"}]
EXPORTERS = {
    ("j6m", export_module, "float_model"): "ort_float.onnx",
    ("j6m", export_module, "ort_overrides_text"): "ort_overrides.json",
    ("j6m", export_module, "ort_script"): "ort_quantize.py",
    ("j6m", export_module, "qconfig_csv"): "qconfig.csv",
    ("j6m", export_module, "deploy_text"): "deploy.json",
    ("j6m", horizon, "horizon_float_model"): "horizon/model.onnx",
    ("j6m", horizon, "horizon_loaded_model"): "horizon/model.qdq.onnx",
    ("j6m", horizon, "hmct_text"): "horizon/quant_config.json",
    ("j6m", horizon, "hb_compile_text"): "horizon/hb_compile.yaml",
    ("j6m", horizon, "qconfig_setter"): "horizon/qconfig_setter.py",
    ("j6m", horizon, "qconfig_setter_legacy"): "horizon/qconfig_setter_legacy.py",
    ("j6m", horizon, "horizon_readme"): "horizon/README.md",
    ("tx5105c", knight, "run_config"): "knight/run_config.json",
    ("tx5105c", knight, "run_script"): "knight/run.sh",
    ("tx5105c", knight, "infer_script"): "knight/infer.py",
    ("tx5105c", knight, "readme"): "knight/README.md",
    ("j6m", result_module, "evidence_files"): "trials.csv",
    ("j6m", result_module, "views_of"): "precision_map.json",
    ("j6m", result_module, "layer_files"): "layers.csv",
    ("j6m", result_module, "map_file"): "precision_map.json",
    ("j6m", result_module, "render_report"): "report.html",
}


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Studies by chip up to where the delivery begins: everything but what delivers is stored."""
    found = {}
    for target in ("j6m", "tx5105c"):
        local = local_problem(write(tmp_path_factory.mktemp(target), n=60), target=target, goal=GOAL)
        memory = MemoryRun(local)
        memory.run()
        memory.results = {key: one for key, one in memory.results.items() if one.kind not in DELIVERING}
        found[target] = memory
    return found


def delivered(memory: MemoryRun) -> tuple[Result, dict[str, bytes]]:
    """The rest of a study, on a copy of what is stored."""
    again = MemoryRun(memory.local, results=dict(memory.results), blobs=dict(memory.blobs))
    runner, replay = ItemRunner(again.problem, again), Replay(again.problem)
    while tasks := replay.advance(again.results):
        for item, raw in run_items(runner, tasks[0]):
            again.keep(item, raw)
    assert replay.finished is not None
    files = again.files(replay.finished)
    return Result.from_json(json.loads(files["result.json"])), files


def failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail


def missing_in(result: Result) -> list[str]:
    found = [one for one in result.findings if one.code == "not-delivered"]
    listed = [one.evidence.get("all") or [one.evidence] for one in found]
    return [entry.get("what") or entry["evidence"]["what"] for entries in listed for entry in entries]


@pytest.mark.parametrize("exporter", EXPORTERS, ids=lambda one: f"{one[1].__name__}.{one[2]}")
def test_an_exporter_that_fails_costs_its_file_only(searched, monkeypatch, exporter):
    target, module, name = exporter
    path = EXPORTERS[exporter]
    untouched, before = delivered(searched[target])
    monkeypatch.setattr(module, name, failing(ZeroDivisionError("on purpose")))
    result, files = delivered(searched[target])
    assert (result.outcome, result.metrics, result.assignment) == (
        untouched.outcome,
        untouched.metrics,
        untouched.assignment,
    )
    assert path not in files
    assert path not in result.artifacts.values()
    told = " ".join(one.message for one in result.findings if one.code == "not-delivered")
    assert path in told
    assert "a fault of bitbudget (ZeroDivisionError: on purpose)" in told
    assert "result.json" in files
    lost = set(before) - set(files)
    assert len(lost) <= 4, lost


def test_what_a_tool_refuses_is_told_in_its_words_and_is_no_fault(searched, monkeypatch):
    monkeypatch.setattr(horizon, "hmct_text", failing(UsageError("This needs another tool-chain.")))
    result, _ = delivered(searched["j6m"])
    found = [one for one in result.findings if one.code == "not-delivered"]
    assert {one.severity for one in found} == {"warning"}
    assert all("fault" not in one.message for one in found)
    assert "This needs another tool-chain" in found[0].message


@pytest.mark.parametrize("kind", sorted(DELIVERING - {"recheck", "layers", "confirm"}))
def test_a_step_of_the_delivery_that_fails_is_a_finding(searched, monkeypatch, kind):
    untouched, _ = delivered(searched["j6m"])
    monkeypatch.setattr(registry.WORKS[kind], "run", failing(MemoryError("too much")))
    result, files = delivered(searched["j6m"])
    assert result.outcome is untouched.outcome
    assert kind in missing_in(result)
    assert "report.html" in files


def test_an_exported_model_that_is_not_proven_is_not_delivered_and_not_met(searched, monkeypatch):
    untouched, before = delivered(searched["j6m"])
    assert untouched.outcome is Outcome.MET
    assert "model.qdq.onnx" in before
    monkeypatch.setattr(registry.WORKS["recheck"], "run", failing(ExportMismatchError("Other bits.")))
    result, files = delivered(searched["j6m"])
    assert result.outcome is Outcome.NOT_MET
    assert "model.qdq.onnx" not in files
    assert result.chosen_trial == untouched.chosen_trial
    (found,) = [one for one in result.findings if one.code == "not-delivered"]
    assert found.severity == "error"
    assert "Other bits" in found.message


def test_a_finding_that_cannot_be_made_leaves_the_others(searched, monkeypatch):
    monkeypatch.setattr("search.study.findings.range_findings", failing(KeyError("t7")))
    result, _ = delivered(searched["j6m"])
    assert "the rest of the findings" in missing_in(result)
    assert any(one.code != "not-delivered" for one in result.findings)


def test_a_script_that_fails_on_the_model_is_not_delivered(searched, monkeypatch):
    monkeypatch.setattr(export_kind, "script_failure", lambda files: "ValueError: no such axis")
    result, files = delivered(searched["j6m"])
    assert "ort_quantize.py" not in files
    assert "ort_overrides.json" in files
    assert "ort_quantize.py" in missing_in(result)
