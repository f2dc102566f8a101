"""The local loop: killed after any item it goes on to the same answer, and computes nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from search.study.result import Measured, compose
from search.study.steering import Limits
from search.work.item_runner import ItemRunner
from service.local.driver import Driver
from service.local.inputs import LocalFiles
from service.local.store import RunStore
from tests.study.memory import local_problem, without_times
from tests.study.small import write

TOP1 = [{"metric": "top1", "max_drop": 0.01}]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return local_problem(write(tmp_path_factory.mktemp("study"), n=120), goal=TOP1)


class KilledError(Exception):
    """Stands for a kill."""


class Sitting:
    """One process's life with a run directory."""

    def __init__(self, local, out, **options):
        self.local, self.store, self.options = local, RunStore(out), options

    def run(self, *, items=None, watch=None):
        """Run; die after ``items`` items. Returns the document."""
        self.store.open(self.local.identity, force=False)
        known = set(self.store.results)

        def look(state):
            if watch is not None:
                watch(state)
            if items is not None and len(set(self.store.results) - known) >= items:
                raise KilledError

        runner = ItemRunner(self.local.problem, LocalFiles(self.local.paths, self.store))
        try:
            outcome = Driver(self.local.problem, runner, self.store, watch=look, **self.options).run()
        finally:
            self.store.close()
        self.new = [result for digest, result in self.store.results.items() if digest not in known]
        measured = Measured(seconds=outcome.seconds, stopped=outcome.stopped)
        files = compose(self.local.problem, outcome.finished, measured, self.store.get)
        return json.loads(files["result.json"])


@pytest.fixture(scope="module")
def answer(local, tmp_path_factory):
    return without_times(Sitting(local, tmp_path_factory.mktemp("whole") / "out").run())


def lines(out):
    return (out / ".bitbudget" / "results.jsonl").read_bytes().splitlines()


def test_killed_after_every_single_item_it_reaches_the_same_answer(local, tmp_path, answer):
    for _ in range(1000):
        try:
            document = Sitting(local, tmp_path / "out").run(items=1)
        except KilledError:
            continue
        break
    assert without_times(document) == answer
    digests = Counter(json.loads(line)["digest"] for line in lines(tmp_path / "out"))
    assert set(digests.values()) == {1}


@pytest.mark.parametrize("items", [6, 9, 16])
def test_a_cut_line_and_a_lost_blob_are_computed_again(local, tmp_path, answer, items):
    out = tmp_path / "out"
    with pytest.raises(KilledError):
        Sitting(local, out).run(items=items)
    path = out / ".bitbudget" / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    calibrate = next(line for line in map(json.loads, lines(out)[:-1]) if line["kind"] == "calibrate")
    (out / ".bitbudget" / "blobs" / calibrate["blobs"]["ranges"]).unlink()
    again = Sitting(local, out)
    assert without_times(again.run()) == answer
    assert [result.kind for result in again.new].count("calibrate") == 1


def test_search_seconds_sum_the_sittings_and_leave_out_what_is_no_search(local, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KilledError):
        Sitting(local, out).run(items=6)
    first = sum(json.loads(line)["seconds"] for line in lines(out))
    second = Sitting(local, out)
    document = second.run()
    later = sum(r.seconds for r in second.new if r.kind not in ("export", "unoptimized", "confirm", "profile"))
    assert {"export", "unoptimized", "recheck"} <= {r.kind for r in second.new}
    assert document["search"]["seconds"] == pytest.approx(first + later, abs=2e-3)
    assert Sitting(local, out).run()["search"] == document["search"]


def test_a_finished_run_computes_nothing(local, tmp_path, answer):
    Sitting(local, tmp_path / "out").run()
    again = Sitting(local, tmp_path / "out")
    assert without_times(again.run()) == answer
    assert again.new == []


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_limit_on_evaluations_is_kept_and_a_higher_one_goes_on(local, tmp_path, answer, most):
    document = Sitting(local, tmp_path / "out", limits=Limits(max_evaluations=most)).run()
    assert document["stopped"] == "evaluations"
    assert document["search"]["evaluations"] == most
    assert document["outcome"] == "met"  # all-int16, the first trial, meets the goal
    assert without_times(Sitting(local, tmp_path / "out").run()) == answer


@pytest.mark.parametrize("strategy", ["auto", "optuna", "exhaustive"])
def test_every_strategy_keeps_a_limit_and_a_higher_one_goes_on(local, tmp_path, strategy):
    spec = local.problem.spec
    other = local_problem_with(
        local, spec.model_copy(update={"search": spec.search.model_copy(update={"strategy": strategy})})
    )
    whole = without_times(Sitting(other, tmp_path / "whole").run())
    needed = whole["search"]["evaluations"]
    assert needed > 1
    for most in sorted({1, needed // 2, needed - 1}):
        document = Sitting(other, tmp_path / "out", limits=Limits(max_evaluations=most)).run()
        assert document["stopped"] == "evaluations"
        assert document["search"]["evaluations"] <= most
    assert without_times(Sitting(other, tmp_path / "out").run()) == whole


def test_a_limit_on_seconds_delivers_what_there_is(local, tmp_path, answer):
    document = Sitting(local, tmp_path / "out", limits=Limits(max_seconds=1e-9)).run()
    assert (document["stopped"], document["outcome"], document["assignment"]) == ("time", "not_met", {})
    assert without_times(Sitting(local, tmp_path / "out").run()) == answer


def test_a_request_to_stop_ends_after_the_item_at_hand(local, tmp_path, answer):
    asked = iter([None] * 9)
    sitting = Sitting(local, tmp_path / "out", asked=lambda: next(asked, "interrupt"))
    document = sitting.run()
    assert document["stopped"] == "interrupt"
    assert without_times(Sitting(local, tmp_path / "out").run()) == answer


def test_another_goal_reuses_every_calibration_and_sensitivity_pass(local, tmp_path):
    Sitting(local, tmp_path / "first").run()
    spec = local.problem.spec
    goal = spec.goal[0].model_copy(update={"max_drop": 0.012})
    other = local_problem_with(local, spec.model_copy(update={"goal": (goal,)}))
    store = RunStore(tmp_path / "first")
    store.read()
    sitting = Sitting(other, tmp_path / "second", reuse=store)
    document = sitting.run()
    fresh = Counter(result.kind for result in sitting.new if not result.reused)
    assert fresh["calibrate"] == fresh["sensitivity"] == fresh["compare"] == fresh["baseline"] == 0
    assert fresh["evaluate"] == 0
    assert document["search"]["evaluations"] == 0
    assert document["search"]["full_set_equivalents"] == 0
    assert document["outcome"] == "met"


def test_reused_trials_do_not_count_against_the_limit(local, tmp_path, answer):
    Sitting(local, tmp_path / "first").run()
    store = RunStore(tmp_path / "first")
    store.read()
    document = Sitting(local, tmp_path / "second", reuse=store, limits=Limits(max_evaluations=1)).run()
    assert document["stopped"] is None
    assert document["assignment"] == answer["assignment"]
    assert document["metrics"] == answer["metrics"]


def local_problem_with(local, spec):
    return replace(local, problem=replace(local.problem, spec=spec))
