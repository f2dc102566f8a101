"""What has been measured by the time an answer is given."""

from __future__ import annotations

import numpy as np
import pytest

from search.precision import Format
from search.records.verdict import Verdict
from search.strategies.auto.strategy import auto
from search.strategies.shared.session import TrialSession
from search.strategies.shared.settling import best_trial, settle
from search.targets.legalise import uniform
from tests.strategies.nets import J6M, ORT, chain, written
from tests.strategies.simulated import Simulated, refusal
from tests.targets.networks import Sketch

NETWORK = chain()
ACT2 = written(NETWORK, "act2")


def settled(plan):
    def both(session):
        yield from plan(session)
        yield from settle(session)

    return both


def test_all_low_is_complete_at_the_end_although_it_was_rejected_early():
    study = Simulated(NETWORK, J6M, {ACT2: 0.25})
    before, after = study.run(auto), study.run(settled(auto))
    assert before.trials[0].verdict is Verdict.REJECTED
    assert (after.trials[0].verdict, after.trials[0].n_run) == (Verdict.NOT_MET, study.n)
    assert [t.configuration.digest for t in after.trials] == [t.configuration.digest for t in before.trials]


def test_where_the_goal_is_missed_the_closest_trial_is_complete_and_delivered():
    stubborn = {ACT2: {Format.INT16: 0.9, Format.FP16: 0.95}}
    study = Simulated(NETWORK, J6M, {ACT2: 0.04}, steps=stubborn)

    def plan(session):
        for level in ("low", "high"):
            yield from session.evaluate(uniform(NETWORK, J6M, level), stage=level)

    before, after = study.run(plan), study.run(settled(plan))
    assert all(trial.verdict is Verdict.REJECTED for trial in before.trials)
    assert best_trial(before.trials, before.setting.goals) is None
    best = best_trial(after.trials, after.setting.goals)
    assert best.stage == "high"
    assert study.value(best.configuration, "y0") > study.value(after.trials[0].configuration, "y0")


def test_there_is_an_answer_where_low_cannot_run_and_all_that_ran_was_nan():
    conv = next(g for g, one in enumerate(NETWORK.groups) if one.name == "conv0")
    broken = refusal("conv0")
    lowest = uniform(NETWORK, J6M, "low")[conv]
    study = Simulated(
        NETWORK, J6M, {ACT2: np.inf}, refuses=lambda one: broken if one.effective[conv] is lowest else None
    )

    def plan(session):
        yield from session.evaluate(uniform(NETWORK, J6M, "low"), stage="low")

    before, after = study.run(plan), study.run(settled(plan))
    assert [trial.verdict for trial in before.trials] == [Verdict.INFEASIBLE, Verdict.REJECTED]
    best = best_trial(after.trials, after.setting.goals)
    assert (best.number, best.n_run) == (2, study.n)


def test_a_bound_that_is_cheaper_than_the_answer_is_tried():
    sketch = Sketch()
    value = sketch.add("Conv", [sketch.input()], macs=1000)
    sketch.add("MaxPool", [value], output="y", elements=100_000)
    network = sketch.done()

    def plan(session):
        yield from session.evaluate(uniform(network, ORT, "low"), stage="low")

    session = Simulated(network, ORT, {}).run(settled(plan))
    best = best_trial(session.trials, session.setting.goals)
    assert best.cost <= min(session.setting.cost.index(bound) for bound in session.setting.bounds)
    assert best.stage != "low"


@pytest.mark.parametrize("full", [True, False])
def test_nothing_is_measured_again_that_is_known(full):
    study = Simulated(NETWORK, J6M, {})
    session = TrialSession(study.setting())
    study.drive(session.evaluate(uniform(NETWORK, J6M, "low"), stage="all low", full=full))
    asked = len(study.asked)
    study.drive(settle(session))
    assert len(study.asked) == asked
