"""``result.json``: its committed schema, its outcomes, and the confirmation that the search never sees."""

from __future__ import annotations

import json
from importlib import resources

import jsonschema
import numpy as np
import onnxruntime as ort
import pytest

from search.study.plan import Replay
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items
from tests.data.reading import open_documented as open_data
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import conv_net, labels_of, pictures, two_output_net, write

SCHEMA = json.loads(resources.files("search.records").joinpath("result.schema.json").read_text())
TOP1 = {"metric": "top1", "max_drop": 0.01}


def outcome(folder, case):
    if case == "met, two goals":
        goals = [
            {**TOP1, "output": "logits"},
            {"metric": "mae", "output": "xy", "labels": "labels_xy", "max_increase": 0.01},
        ]
        return MemoryRun(local_problem(write(folder, two_output_net(), n=80), goal=goals)), None
    if case == "above float":
        return MemoryRun(local_problem(write(folder, n=80), goal=[{"metric": "top1", "min_value": 0.99}])), None
    if case == "random":
        data = {"calibration": "random", "evaluation": None}
        return MemoryRun(local_problem(write(folder, n=20), goal=[TOP1], data=data)), None
    run = MemoryRun(local_problem(write(folder, n=80), target=case.split()[0], goal=[TOP1]))
    return run, "time" if "stopped" in case else None


def pinned(model):
    """A session as the study measures: float kernels between the roundings of the file."""
    options = ort.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


CASES = {
    "j6m": "met",
    "j6p": "met",
    "ort-cpu": "met",
    "met, two goals": "met",
    "above float": "not_met",
    "j6m stopped": "not_met",
    "random": "not_evaluated",
}


@pytest.mark.parametrize("case", CASES)
def test_every_outcome_fits_the_committed_schema(tmp_path, case):
    run, stop = outcome(tmp_path, case)
    document = run.document(run.run(stop=stop), stopped=stop)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert document["outcome"] == CASES[case]
    assert document["stopped"] == stop


def test_the_schema_refuses_what_is_no_result(tmp_path):
    run, _ = outcome(tmp_path, "j6m")
    document = run.document(run.run())
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for change in ({"outcome": "perhaps"}, {"extra": 1}, {"stopped": "bored"}, {"metrics": [{}]}):
        assert not validator.is_valid({**document, **change})
    for key in document:
        assert not validator.is_valid({name: value for name, value in document.items() if name != key})


def test_the_exported_model_reaches_the_value_that_is_written(tmp_path):
    run, _ = outcome(tmp_path, "j6m")
    finished = run.run()
    document, files = run.document(finished), run.files(finished)
    data = np.load(tmp_path / "evaluation.npz")
    got = pinned(files["model.qdq.onnx"]).run(["logits"], {"x": data["x"]})[0].argmax(axis=1)
    metric = document["metrics"][0]
    assert metric["qdq"] == metric["chosen"] == pytest.approx(np.mean(got == data["labels"]))
    assert set(document["artifacts"].values()) | {"result.json"} == set(files)


def test_a_goal_above_float_exports_all_high_and_names_the_cause(tmp_path):
    run, _ = outcome(tmp_path, "above float")
    finished = run.run()
    document = run.document(finished)
    assert [trial.stage for trial in finished.session.trials] == ["all_high"]
    assert document["findings"][0]["code"] == "goal-above-float"
    assert document["findings"][0]["severity"] == "error"
    assert document["cost"]["chosen"] == document["cost"]["all_high"]
    assert document["metrics"][0]["shortfall"] > 0
    assert document["artifacts"]["qdq"] == "model.qdq.onnx"


def test_a_random_run_has_no_accuracy_and_says_so(tmp_path):
    run, _ = outcome(tmp_path, "random")
    finished = run.run()
    document, files = run.document(finished), run.files(finished)
    metric = document["metrics"][0]
    assert metric["id"] == "top1@logits"
    for key in ("float", "required", "chosen", "qdq", "qdq_unoptimized", "confirmed", "interval", "difference"):
        assert metric[key] is None
    assert document["cost"]["chosen"] == document["cost"]["all_low"] == 1
    assert {"code": "random-calibration", "severity": "warning"}.items() <= document["findings"][0].items()
    session = ort.InferenceSession(files["model.qdq.onnx"], providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": pictures(3, seed=0)})[0].shape == (3, 10)


def test_a_model_without_goal_runs_on_random_data_whatever_its_outputs(tmp_path):
    files = write(tmp_path, two_output_net(), n=20)
    run = MemoryRun(local_problem(files, data={"calibration": "random", "evaluation": None}))
    document = run.document(run.run())
    assert (document["outcome"], document["metrics"]) == ("not_evaluated", [])


class Counted:
    """A source that counts which samples were read."""

    def __init__(self, source):
        self.source, self.read = source, []

    def __getattr__(self, name):
        return getattr(self.source, name)

    def batch(self, indices):
        self.read.extend(np.atleast_1d(np.arange(self.source.n_samples)[indices]).tolist())
        return self.source.batch(indices)


def kinds_that_read(run, source, name):
    """Kinds of items during which ``source`` was read."""
    runner, replay = ItemRunner(run.problem, run), Replay(run.problem)
    runner.__dict__[name] = source
    kinds = []
    while tasks := replay.advance(run.results):
        before = len(source.read)
        for item, raw in run_items(runner, tasks[0]):
            run.keep(item, raw)
        if len(source.read) > before:
            kinds.append(tasks[0].kind.name)
    return kinds, replay.finished


def test_confirmation_data_is_read_once_at_the_end(tmp_path):
    files = write(tmp_path, n=80)
    proto, x = conv_net(), pictures(50, seed=9)
    np.savez(tmp_path / "confirmation.npz", x=x, labels=labels_of(proto, x)["labels"])
    data = {"confirmation": str(tmp_path / "confirmation.npz")}
    run = MemoryRun(local_problem(files, goal=[TOP1], data=data))
    runner = ItemRunner(run.problem, run)
    source = Counted(open_data(tmp_path / "confirmation.npz", runner.inputs))
    kinds, finished = kinds_that_read(run, source, "confirmation")
    assert kinds == ["confirm"]
    assert source.read == list(range(50))  # every sample once
    order = [item.kind.name for item in run.order]
    assert not {"evaluate", "sensitivity", "recheck"} & set(order[order.index("confirm") :])
    values = np.load(tmp_path / "confirmation.npz")
    got = pinned(run.files(finished)["model.qdq.onnx"]).run(["logits"], {"x": values["x"]})[0].argmax(axis=1)
    assert run.document(finished)["metrics"][0]["confirmed"] == pytest.approx(np.mean(got == values["labels"]))


@pytest.mark.parametrize("strategy", ["ladder", "auto", "optuna", "exhaustive"])
def test_confirmation_does_not_change_trials_or_answer(tmp_path, strategy):
    files = write(tmp_path, n=80)
    x = pictures(50, seed=9)
    np.savez(tmp_path / "confirmation.npz", x=x, labels=np.zeros(50, np.int64))
    search, with_data = {"strategy": strategy}, {"confirmation": str(tmp_path / "confirmation.npz")}
    plain = MemoryRun(local_problem(files, goal=[TOP1], search=search))
    confirmed = MemoryRun(local_problem(files, goal=[TOP1], data=with_data, search=search))
    one, other = plain.run(), confirmed.run()
    a, b = plain.document(one), confirmed.document(other)
    assert b["metrics"][0]["confirmed"] is not None
    assert plain.files(one)["trials.csv"] == confirmed.files(other)["trials.csv"]
    assert [item.digest for item in confirmed.order if item.kind.name != "confirm"] == [i.digest for i in plain.order]
    b["metrics"][0]["confirmed"] = a["metrics"][0]["confirmed"]
    b["provenance"] = a["provenance"]  # names the file of the confirmation set, too
    assert a == b


def test_a_share_held_back_is_never_evaluated_before_the_end(tmp_path):
    files = write(tmp_path, n=100)
    run = MemoryRun(local_problem(files, goal=[TOP1], data={"confirmation_share": 0.2}))
    runner = ItemRunner(run.problem, run)
    source = Counted(open_data(files.evaluation, runner.inputs))
    held = set(runner.confirmation.rows.tolist())
    replay = Replay(run.problem)
    runner = ItemRunner(run.problem, run)
    runner.__dict__["_evaluation_source"] = source
    _ = runner.loaded  # reading the model takes two samples to learn shapes
    source.read.clear()
    while tasks := replay.advance(run.results):
        for item, raw in run_items(runner, tasks[0]):
            run.keep(item, raw)
        if tasks[0].kind.name != "confirm":
            assert not held & set(source.read), tasks[0].kind
        source.read.clear()
    document = run.document(replay.finished)
    assert document["metrics"][0]["n_samples"] == 80
    assert document["metrics"][0]["confirmed"] is not None
    assert [item.kind.name for item in run.order].count("confirm") == 1
