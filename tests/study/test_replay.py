"""A study is a function of its results: stopped anywhere, continued to the same answer, nothing computed twice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from search.study.plan import Replay, next_tasks
from search.tasks import ItemResult
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items, run_task
from tests.study.memory import MemoryRun, digests, local_problem, without_times
from tests.study.small import conv_net, two_output_net, write

TOP1 = {"metric": "top1", "max_drop": 0.01}
MAE = {"metric": "mae", "output": "xy", "labels": "labels_xy", "max_increase": 0.005}


def small_study(folder, name):
    if name == "two outputs":
        files = write(folder, two_output_net(), n=150)
        return local_problem(files, goal=[{**TOP1, "output": "logits"}, MAE])
    if name == "fp16":
        return local_problem(write(folder, conv_net(loud=1000, listens=True), n=120), goal=[TOP1])
    if name == "batch 1":
        return local_problem(write(folder, conv_net(batch="1"), n=24), target="j6p", goal=[TOP1])
    if name == "random":
        return local_problem(write(folder, n=40), data={"calibration": "random", "evaluation": None})
    return local_problem(write(folder), goal=[TOP1])


@pytest.fixture(scope="module", params=["one output", "two outputs", "fp16", "batch 1", "random"])
def whole(request, tmp_path_factory):
    run = MemoryRun(small_study(tmp_path_factory.mktemp("study"), request.param))
    return run, run.run()


def test_the_small_study_has_something_to_decide(tmp_path):
    run = MemoryRun(small_study(tmp_path, "one output"))
    document = run.document(run.run())
    assert document["outcome"] == "met"
    assert document["metrics"][0]["all_low"] < document["metrics"][0]["required"]
    assert len({entry["precision"] for entry in document["assignment"].values()} - {None}) > 1
    assert document["search"]["evaluations"] >= 3


def test_no_item_is_computed_twice(whole):
    run, _ = whole
    assert set(run.computed.values()) == {1}


def test_after_every_item_the_study_asks_for_what_the_whole_run_did_next(whole):
    run, finished = whole
    answer = run.document(finished)
    fed = Replay(run.problem)
    results: dict[str, ItemResult] = {}
    for item in run.order:
        fresh, incremental = next_tasks(run.problem, results), fed.advance(results)
        assert digests(fresh) == digests(incremental)
        assert item.digest in digests(fresh)
        assert not set(digests(fresh)) & set(results)
        results[item.digest] = run.results[item.digest]
    assert fed.advance(results) == ()
    assert fed.finished is not None
    assert run.document(fed.finished) == answer


def test_results_in_another_order_lead_to_the_same_answer(whole):
    run, finished = whole
    backwards = dict(reversed(run.results.items()))
    replay = Replay(run.problem)
    assert replay.advance(backwards) == ()
    assert replay.finished is not None
    assert run.document(replay.finished) == run.document(finished)


def test_a_study_stopped_after_every_item_delivers_its_best_and_goes_on_to_the_same_answer(whole):
    run, finished = whole
    answer = without_times(run.document(finished))
    results: dict[str, ItemResult] = {}
    seen = {}
    for item in run.order:
        replay = Replay(run.problem)
        asked = digests(replay.advance(results, "interrupt"))
        if replay.finished is None and tuple(asked) not in seen:
            seen[tuple(asked)] = check_early_end(run, dict(results), answer)
        results[item.digest] = run.results[item.digest]
    assert seen or run.problem.evaluation is None


def delivers(item):
    """Whether an item belongs to the delivery: the Q/DQ model of the best trial may not have been measured yet."""
    if item.kind.name == "evaluate":
        return item.work.evaluator == "fake_quant"
    return item.kind.name in {"recheck", "confirm", "unoptimized", "export", "profile", "layers"}


def check_early_end(run, results, answer):
    """Deliver the best so far, then go on with everything that was stored."""
    cut = MemoryRun(run.local, results=results, blobs=run.blobs)
    early = cut.run(stop="interrupt")
    assert all(delivers(one) for one in cut.order)
    document = cut.document(early, stopped="interrupt")
    if early.chosen is not None:
        assert document["outcome"] == ("met" if early.chosen.is_met else "not_met")
    memo = MemoryRun(run.local, results={**cut.results, **run.results}, blobs=cut.blobs)
    assert without_times(memo.document(memo.run())) == answer
    assert not memo.computed
    return document


@pytest.mark.parametrize("n", [0, 1, 2, 4])
def test_a_study_stopped_before_a_complete_trial_delivers_a_result_without_a_model(tmp_path, n):
    run = MemoryRun(small_study(tmp_path, "one output"))
    replay = Replay(run.problem)
    runner = ItemRunner(run.problem, run)
    while len(run.results) < n:  # tasks, not items: a little more may be there
        for item, raw in run_items(runner, replay.advance(run.results)[0]):
            run.keep(item, raw)
    before = len(run.order)
    early = run.run(stop="time")
    files = run.files(early, stopped="time")
    document = json.loads(files["result.json"])
    assert (document["outcome"], document["stopped"], document["assignment"]) == ("not_met", "time", {})
    assert document["cost"]["chosen"] is None
    assert all(metric["chosen"] is None and metric["qdq"] is None for metric in document["metrics"])
    assert set(files) == {"result.json", "report.html", "trials.csv", "sensitivity.csv"}
    assert len(run.order) == before


def test_a_fresh_bench_for_every_task_gives_the_same_results(tmp_path):
    local = small_study(tmp_path, "one output")
    kept, fresh = MemoryRun(local), MemoryRun(local)
    answer = kept.document(kept.run())
    while tasks := next_tasks(local.problem, fresh.results):
        for item, raw in run_task(tasks[0], local.problem, fresh):
            fresh.keep(item, raw)
    assert fresh.results == kept.results
    assert fresh.blobs == kept.blobs
    assert fresh.document(fresh.run()) == answer


def test_a_limit_asks_for_nothing_but_the_delivery_of_the_best(whole):
    run, _ = whole
    half = dict(list(run.results.items())[: len(run.order) // 2])
    assert all(delivers(item) for task in next_tasks(run.problem, half, stop="evaluations") for item in task.items)


@pytest.mark.parametrize("change", ["threads", "onnxruntime", "processor"])
def test_another_environment_shares_no_result(tmp_path, change):
    problem = small_study(tmp_path, "one output").problem
    other = replace(problem, environment={**problem.environment, change: "other"})
    assert not set(digests(next_tasks(problem, {}))) & set(digests(next_tasks(other, {})))
