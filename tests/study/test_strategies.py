"""Strategies on a real small study: interrupted anywhere, the same trials and the same answer."""

from __future__ import annotations

import pytest

from search.study.plan import Replay, next_tasks
from search.study.steering import Limits, within_limits
from search.tasks import ItemResult
from tests.study.memory import MemoryRun, digests, local_problem, without_times
from tests.study.small import conv_net, write

TOP1 = {"metric": "top1", "max_drop": 0.01}
STRATEGIES = {
    "exhaustive": {"strategy": "exhaustive"},
    "exhaustive, batch": {"strategy": "exhaustive", "batch": 3},
    "tpe": {"strategy": "optuna", "sampler": "tpe", "seed": 1},
    "nsga2": {"strategy": "optuna", "sampler": "nsga2", "batch": 2},
}


def study(folder, name, **spec):
    files = write(folder, conv_net(), n=150)
    return local_problem(files, goal=[TOP1], search={"evaluator": "fake_quant", **STRATEGIES[name]}, **spec)


@pytest.fixture(scope="module", params=list(STRATEGIES))
def whole(request, tmp_path_factory):
    run = MemoryRun(study(tmp_path_factory.mktemp("study"), request.param))
    return run, run.run(), request.param


def test_the_answer_meets_the_goal(whole):
    run, finished, name = whole
    document = run.document(finished)
    assert document["outcome"] == "met"
    assert document["strategy"] == STRATEGIES[name]["strategy"]
    assert document["minimal"] is (True if "exhaustive" in name else None)
    assert document["cost"]["all_low"] < document["cost"]["chosen"] < document["cost"]["all_high"]


def test_after_every_item_a_fresh_start_asks_for_what_the_whole_run_did_next(whole):
    run, finished, _ = whole
    results: dict[str, ItemResult] = {}
    for n, item in enumerate(run.order):
        if n % 4 == 0:
            assert item.digest in digests(next_tasks(run.problem, results))
        results[item.digest] = run.results[item.digest]
    replay = Replay(run.problem)
    assert replay.advance(results) == ()
    assert replay.finished is not None
    assert without_times(run.document(replay.finished)) == without_times(run.document(finished))
    assert set(run.computed.values()) == {1}


def test_results_that_come_in_another_order_change_no_trial(whole):
    run, finished, _ = whole
    replay = Replay(run.problem)
    assert replay.advance(dict(reversed(run.results.items()))) == ()
    assert replay.finished is not None
    assert [t.configuration for t in replay.finished.session.trials] == [
        t.configuration for t in finished.session.trials
    ]


def test_the_front_holds_what_no_other_complete_trial_beats(whole):
    run, finished, _ = whole
    front = run.document(finished)["front"]
    complete = [(t.cost, t.values["top1@logits"]) for t in finished.session.trials if t.is_complete]
    expected = {
        (cost, value)
        for cost, value in complete
        if not any((c <= cost and v >= value) and (c, v) != (cost, value) for c, v in complete)
    }
    assert {(one["cost"], one["values"]["top1@logits"]) for one in front} == expected
    assert [one["cost"] for one in front] == sorted(one["cost"] for one in front)
    assert len(front) == len(expected)


def test_a_batch_never_begins_more_trials_than_allowed(whole):
    run, finished, name = whole
    if "batch" not in STRATEGIES[name]:
        pytest.skip("one at a time")
    most = len(finished.session.trials) - 1
    replay, results, begun = Replay(run.problem), dict[str, ItemResult](), 0
    while tasks := within_limits(replay.advance(results), replay, results, Limits(max_evaluations=most)):
        if replay.progress.stopping is not None:
            break
        items = [item for task in tasks for item in task.items]
        begun += sum(item.kind.name == "evaluate" and item.work.range[0] == 0 for item in items)
        results |= {item.digest: run.results[item.digest] for item in items}
    assert replay.progress.stopping == "evaluations"
    assert 0 < begun <= most
