"""Stopped after every single task, for whatever reason, a study delivers its best and goes on to the same answer."""

from __future__ import annotations

import json
from itertools import count, cycle

import jsonschema
import pytest

from search.study.plan import Replay
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items
from tests.docs.pages import ROOT
from tests.study.memory import MemoryRun, local_problem, without_times
from tests.study.small import conv_net, write

STOPS = ("interrupt", "time", "evaluations", "cancel")
STRATEGIES = ("auto", "ladder", "optuna", "exhaustive")
SCHEMA = json.loads((ROOT / "search/records/result.schema.json").read_text())
DELIVERY = {"recheck", "confirm", "unoptimized", "export", "profile"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write(tmp_path_factory.mktemp("study"), conv_net(), n=200)


def study(files, strategy):
    """A study whose rounds are several tasks each."""
    return local_problem(
        files,
        goal=[{"metric": "top1", "max_drop": 0.01}],
        data={"confirmation": str(files.evaluation)},
        search={"strategy": strategy, "batch": 2, "task_macs": 1.5e6},
    )


class Interrupted:
    """A study that is stopped after every task; ``ends`` holds what each stop delivered."""

    def __init__(self, local):
        self.run = MemoryRun(local)
        self.runner = ItemRunner(local.problem, self.run)
        self.ends = []
        self.kinds = set()
        self.document = self.search()

    def compute(self, task):
        for item, raw in run_items(self.runner, task):
            self.run.keep(item, raw)

    def search(self):
        for stop in cycle(STOPS):
            replay = Replay(self.run.problem)
            tasks = replay.advance(self.run.results)
            if not tasks:
                return self.run.document(replay.finished)
            self.compute(tasks[0])
            self.kinds.add(tasks[0].kind.name)
            self.ends.append(self.deliver(stop))
        raise AssertionError

    def deliver(self, stop):
        replay, before = Replay(self.run.problem), len(self.run.order)
        for _ in count():
            tasks = replay.advance(self.run.results, stop)
            if not tasks:
                break
            self.compute(tasks[0])
        late = {item.kind.name for item in self.run.order[before:]}
        assert late <= {*DELIVERY, "evaluate"}
        stopped = replay.progress.stopping
        assert stopped in (stop, None)
        return replay.finished, self.run.document(replay.finished, stopped=stopped)


@pytest.fixture(scope="module", params=STRATEGIES)
def pair(request, files):
    local = study(files, request.param)
    whole = MemoryRun(local)
    return Interrupted(local), whole.document(whole.run())


def test_it_goes_on_to_the_same_answer_and_computes_nothing_twice(pair):
    interrupted, answer = pair
    assert without_times(interrupted.document) == without_times(answer)
    assert set(interrupted.run.computed.values()) == {1}
    assert len(interrupted.ends) > 10
    assert interrupted.kinds >= {"check", "collect", "calibrate", "baseline", "compare", "evaluate"}


def test_every_stop_leaves_a_valid_result_with_the_best_so_far(pair):
    interrupted, answer = pair
    validator = jsonschema.Draft202012Validator(SCHEMA)
    best = []
    for finished, document in interrupted.ends:
        validator.validate(document)
        trials = () if finished.session is None else finished.session.trials
        met = [trial.cost for trial in trials if trial.is_met]
        assert (document["outcome"] == "met") == bool(met)
        if met:
            assert document["cost"]["chosen"] == min(met)
            assert document["metrics"][0]["qdq"] >= document["metrics"][0]["required"]
            assert {"qdq", "report"} <= document["artifacts"].keys()
            best.append(min(met))
        elif not any(trial.is_complete for trial in trials):
            assert document["assignment"] == {}
            assert "qdq" not in document["artifacts"]
            assert "nothing-complete" in {finding["code"] for finding in document["findings"]}
    assert best == sorted(best, reverse=True)  # more time never makes the answer dearer
    assert best[-1] == answer["cost"]["chosen"]


def test_the_front_is_every_complete_trial_that_none_beats(pair):
    interrupted, _ = pair
    for finished, document in interrupted.ends:
        complete = [] if finished.session is None else [trial for trial in finished.session.trials if trial.is_complete]
        assert {entry["trial"] for entry in document["front"]} == unbeaten(complete)
        costs = [entry["cost"] for entry in document["front"]]
        assert costs == sorted(costs)


def unbeaten(trials):
    """Numbers of the trials none beats, by comparing every pair."""
    found = set()
    for one in trials:
        mine = (-one.cost, *one.values.values())
        better = [
            other
            for other in trials
            if all(theirs >= own for theirs, own in zip((-other.cost, *other.values.values()), mine, strict=True))
            and ((-other.cost, *other.values.values()) != mine or other.number < one.number)
        ]
        if not better:
            found.add(one.number)
    return found
