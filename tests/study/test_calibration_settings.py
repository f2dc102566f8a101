"""A search over calibration settings: ranges of prefixes, inputs of whole numbers, and the study around them."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import replace
from importlib import resources

import jsonschema
import numpy as np
import pytest

from search.calibration.collect import collect
from search.calibration.ranges import Ranges, derive_ranges
from search.data.order import Subset, sample_order
from search.errors import InvalidDataError, UsageError
from search.evaluation.refusal import Refusal
from search.precision import Format
from search.quant.grid import ScaleRule
from search.records.verdict import Verdict
from search.study.calibrations import calibrations, candidates
from search.study.plan import Replay
from search.work.arrays import load_arrays
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.study.small import whole_numbers, write

SCHEMA = json.loads(resources.files("search.records").joinpath("result.schema.json").read_text())
TOP1 = {"metric": "top1", "max_drop": 0.05}
SIZES = (2, 8, 32)


def study(folder, *, n=120, proto=None, **spec):
    return local_problem(write(folder, proto, n=n), target="tx5105c", goal=[TOP1], **spec)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    run = MemoryRun(study(tmp_path_factory.mktemp("tx")))
    return run, run.run()


def result_of_kind(run, kind):
    return next(result for result in run.results.values() if result.kind == kind)


def test_the_ranges_of_a_sample_count_are_those_of_these_samples_alone(searched):
    run, _ = searched
    runner, found = ItemRunner(run.problem, run), result_of_kind(run, "calibrate")
    order = sample_order(runner.calibration.n_samples, seed=0)
    for size in SIZES:
        source = Subset(runner.calibration, order[:size])
        loaded = runner.loaded
        alone = collect(
            loaded.template.model,
            loaded.structure.network,
            source,
            n_samples=size,
            feeding=loaded.feeding,
            threads=1,
        )
        wanted = [(method, 8) for method in ("min_max", "percentile", "mse", "kl", "kl_v2", "mix")]
        expected = derive_ranges(alone.at(size), wanted, rule=ScaleRule("power"))
        got = Ranges.from_arrays(load_arrays(run.get(found.blobs[f"ranges:{size}"])))
        for pair in wanted:
            np.testing.assert_array_equal(got.by_method[pair], expected.by_method[pair])


def test_every_calibration_sample_is_run_once_whatever_is_tried(tmp_path):
    local = study(tmp_path)
    run = MemoryRun(local)
    runner, replay = ItemRunner(run.problem, run), Replay(run.problem)
    seen: Counter[int] = Counter()
    source = runner.calibration

    class Counted:
        def __getattr__(self, name):
            return getattr(source, name)

        def batch(self, indices):
            seen.update(np.atleast_1d(indices).tolist())
            return source.batch(indices)

    runner.__dict__["calibration"] = Counted()
    while tasks := replay.advance(run.results):
        for item, raw in run_items(runner, tasks[0]):
            run.keep(item, raw)
    assert seen == Counter(range(32))


def test_the_trials_are_method_times_count_in_the_order_of_ties(searched):
    _, finished = searched
    used = [trial.configuration.calibration for trial in finished.session.trials]
    assert [one.samples for one in used] == sorted(one.samples for one in used)
    assert {one.method_8 for one in used} >= {"min_max", "percentile", "mse", "kl", "kl_v2"}  # mix equals one of them
    assert {trial.cost for trial in finished.session.trials} == {1.0}
    values = [trial.values["top1@logits"] for trial in finished.session.trials]
    assert finished.chosen.values["top1@logits"] == max(values)
    assert finished.chosen.number == 1 + values.index(max(values))


def test_the_result_says_what_was_chosen_from_what_in_which_order(searched):
    run, finished = searched
    document = run.document(finished)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    calibration, chosen = document["calibration"], finished.chosen.configuration.calibration
    assert (calibration["method_8"], calibration["samples"]) == (chosen.method_8, chosen.samples)
    assert calibration["order"] == {"kind": "seeded", "seed": 0}
    assert len(calibration["candidates"]) == 6 * len(SIZES)
    run_trials = [row["trial"] for row in calibration["candidates"] if row["trial"] is not None]
    assert run_trials == list(range(1, len(finished.session.trials) + 1))
    assert all("same ranges as" in row["why_not"] for row in calibration["candidates"] if row["trial"] is None)
    assert (document["strategy"], document["minimal"], document["cost"]["chosen"]) == ("auto", None, 1.0)
    assert document["cost"]["all_low"] == document["cost"]["all_high"] == 1.0
    metric = document["metrics"][0]
    assert metric["all_low"] == metric["all_high"] == metric["chosen"]
    drop = abs(metric["chosen"] - metric["float"]) / metric["float"] * 100
    assert metric["loss"] == {"percent": pytest.approx(drop), "reason": None}


def test_the_same_study_gives_the_same_files(searched, tmp_path):
    run, finished = searched
    again = MemoryRun(study(tmp_path))
    files, other = run.files(finished), again.files(again.run())
    assert without_times(json.loads(files["result.json"])) == without_times(json.loads(other["result.json"]))
    same = [name for name in files if name.startswith("knight/") or name == "model.qdq.onnx"]
    assert len(same) >= 5
    assert all(files[name] == other[name] for name in same)


def test_another_seed_takes_other_samples(tmp_path):
    problems = [study(tmp_path / str(seed), search={"seed": seed}) for seed in (0, 1)]
    ranges = []
    for local in problems:
        run = MemoryRun(local)
        runner, replay = ItemRunner(run.problem, run), Replay(run.problem)
        while "calibrate" not in {result.kind for result in run.results.values()}:
            for item, raw in run_items(runner, replay.advance(run.results)[0]):
                run.keep(item, raw)
        ranges.append(result_of_kind(run, "calibrate").blobs)
    assert ranges[0]["ranges:2"] != ranges[1]["ranges:2"]
    assert ranges[0]["ranges:32"] == ranges[1]["ranges:32"]  # all of them are the same in any order


def test_methods_of_the_spec_limit_what_is_tried(tmp_path):
    run = MemoryRun(study(tmp_path, calibration={"methods": ["kl", "min_max"], "samples": 16}))
    finished = run.run()
    used = [trial.configuration.calibration for trial in finished.session.trials]
    assert {one.method_8 for one in used} <= {"kl", "min_max"}
    assert {one.samples for one in used} <= {1, 4, 16}
    assert len(used) > 2


def test_whole_numbers_are_tried_both_ways_and_the_choice_is_told(tmp_path):
    run = MemoryRun(local_problem(whole_numbers(tmp_path), target="tx5105c", goal=[TOP1]))
    finished = run.run()
    document = run.document(finished)
    kept = {tuple(row["exact_inputs"]) for row in document["calibration"]["candidates"]}
    assert kept == {(), ("x",)}
    chosen = finished.chosen.configuration.calibration
    assert document["calibration"]["exact_inputs"] == (["x"] if chosen.exact else [])
    files = run.files(finished)
    script = files["knight/run.sh"].decode()
    assert ("-qid uint8" in script) is bool(chosen.exact)
    runner = ItemRunner(run.problem, run)
    exact = next(t for t in finished.session.trials if t.configuration.calibration.exact)
    made = runner.grids(exact.configuration).activation(0, Format.INT8)
    assert (made.scale, made.zero_point, made.signed) == (1.0, 0, False)


@pytest.mark.parametrize(
    ("inputs", "low", "high"),
    [({}, 0, 300), ({}, -200, 100), ({"x": {"range": [0, 255]}}, 0, 256), ({"x": {"quantize": False}}, 0, 256)],
    ids=["beyond 255", "beyond -128", "a range is given", "kept by the spec"],
)
def test_other_inputs_are_left_as_the_spec_has_them(tmp_path, inputs, low, high):
    files = whole_numbers(tmp_path, low, high)
    run = MemoryRun(local_problem(files, target="tx5105c", goal=[TOP1], inputs=inputs))
    finished = run.run()
    assert {trial.configuration.calibration.exact for trial in finished.session.trials} == {()}


def test_a_small_prefix_does_not_narrow_an_input_that_is_kept(tmp_path):
    files = whole_numbers(tmp_path)
    arrays = dict(np.load(files.calibration))
    first = sample_order(32, seed=0)[:2]
    arrays["x"][first] = np.minimum(arrays["x"][first], 100)
    np.savez(files.calibration, **arrays)
    run = MemoryRun(local_problem(files, target="tx5105c", goal=[TOP1], calibration={"methods": ["min_max"]}))
    finished = run.run()
    exact = [t.configuration for t in finished.session.trials if t.configuration.calibration.exact]
    assert {configuration.calibration.samples for configuration in exact} == set(SIZES)
    runner = ItemRunner(run.problem, run)
    assert {runner.grids(configuration).activation(0, Format.INT8).qmax for configuration in exact} == {255}


def with_refusals(local, refuses):
    """Run a study whose chip refuses some trials."""
    run = MemoryRun(local)
    runner, replay = ItemRunner(run.problem, run), Replay(run.problem)
    while tasks := replay.advance(run.results):
        for item, raw in run_items(runner, tasks[0]):
            is_refused = item.kind.name == "evaluate" and refuses(item.work.configuration.calibration)
            run.keep(item, replace(raw, value=replace(raw.value, infeasible=REFUSED)) if is_refused else raw)
    return run, replay.finished


REFUSED = Refusal(
    node="conv2",
    what="q2",
    value=-12,
    low=0,
    high=31,
    message="OP:conv2 q2:-12 must range in [0, 31] to meet hardware specifications.",
    nodes=("conv2",),
)


def test_trials_the_chip_cannot_run_are_shown_as_fail_and_another_one_is_chosen(tmp_path):
    run, finished = with_refusals(study(tmp_path), lambda calibration: calibration.method_8 != "kl")
    assert finished.chosen.configuration.calibration.method_8 == "kl"
    files = run.files(finished)
    verdicts = [row["verdict"] for row in csv.DictReader(io.StringIO(files["trials.csv"].decode()))]
    assert verdicts.count("fail") == sum(t.configuration.calibration.method_8 != "kl" for t in finished.session.trials)
    assert b"q2:-12 must range in [0, 31]" in files["trials.csv"]
    assert b">cannot run<" in files["report.html"]
    codes = [finding["code"] for finding in run.document(finished)["findings"]]
    assert "shift-out-of-range" in codes
    assert "nothing-feasible" not in codes


def test_nothing_runs_is_a_missed_goal_with_both_remedies(tmp_path):
    run, finished = with_refusals(study(tmp_path), lambda _: True)
    document = run.document(finished)
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert finished.chosen is None
    assert (document["outcome"], document["assignment"], document["cost"]["chosen"]) == ("not_met", {}, None)
    first = document["findings"][0]
    assert (first["code"], first["severity"]) == ("nothing-feasible", "error")
    assert "another calibration set" in first["advice"]
    assert "QAT" in first["advice"]
    assert "q2:-12 must range in [0, 31]" in first["message"]
    assert document["metrics"][0]["loss"]["percent"] is None


def test_shifts_out_of_range_are_found_by_the_integer_evaluator_itself(tmp_path):
    target = tmp_path / "narrow.toml"
    target.write_text('extends = "tx5105c"\nname = "narrow"\n[arithmetic]\nshift_max = 17\n')
    local = local_problem(write(tmp_path, n=40), target=str(target), goal=[TOP1], search={"evaluator": "integer"})
    run = MemoryRun(local)
    finished = run.run()
    assert {trial.verdict for trial in finished.session.trials} == {Verdict.INFEASIBLE}
    assert finished.chosen is None
    first = run.document(finished)["findings"][0]
    assert first["code"] == "nothing-feasible"
    assert "must range in [0, 17]" in first["message"]


def test_a_limit_delivers_the_best_so_far(searched, tmp_path):
    run, finished = searched
    half = MemoryRun(run.local, results=dict(list(run.results.items())[:9]), blobs=run.blobs)
    early = half.run(stop="evaluations")
    document = half.document(early, stopped="evaluations")
    assert 0 < len(early.session.trials) < len(finished.session.trials)
    assert any("stopped before" in row["why_not"] for row in document["calibration"]["candidates"])
    assert "knight/run.sh" in half.files(early, stopped="evaluations")


def test_a_goal_above_float_still_gets_the_best_metric(tmp_path):
    local = local_problem(write(tmp_path, n=80), target="tx5105c", goal=[{"metric": "top1", "min_value": 0.99}])
    run = MemoryRun(local)
    finished = run.run()
    document = run.document(finished)
    assert document["findings"][0]["code"] == "goal-above-float"
    assert len(finished.session.trials) > 6


def test_settings_whose_every_method_fails_are_an_error_of_the_data(searched):
    run, _ = searched
    found = run.answer("calibrate")
    sizes = tuple(replace(size, methods=dict.fromkeys(size.methods)) for size in found.value.sizes)
    failed = replace(found, value=replace(found.value, sizes=sizes))
    assert {candidate.why_not for candidate in candidates(run.problem, failed)} == {
        "the method has no range for some tensor"
    }
    with pytest.raises(InvalidDataError, match="Every calibration method failed"):
        calibrations(run.problem, failed)


def test_equal_ranges_are_evaluated_once(searched):
    run, _ = searched
    found = run.answer("calibrate")
    same = tuple(replace(size, methods={**size.methods, "mix": size.methods["min_max"]}) for size in found.value.sizes)
    left = calibrations(run.problem, replace(found, value=replace(found.value, sizes=same)))
    assert "mix" not in {one.method_8 for one in left}


def test_a_study_of_precisions_has_no_settings_to_choose_from(tmp_path):
    run = MemoryRun(local_problem(write(tmp_path, n=40), goal=[TOP1]))
    document = run.document(run.run())
    assert document["calibration"]["candidates"] == []
    assert document["calibration"]["order"] == {"kind": "stored", "seed": None}
    assert document["metrics"][0]["loss"]["percent"] is not None


def test_strategies_are_chosen_by_the_chip(tmp_path):
    files = write(tmp_path, n=20)
    assert local_problem(files, target="tx5105c").problem.spec.search.strategy == "auto"
    with pytest.raises(UsageError, match="Use --strategy auto"):
        local_problem(files, target="tx5105c", search={"strategy": "ladder"})
