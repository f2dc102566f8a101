from __future__ import annotations

import pytest

from search.precision import Format, Precision
from search.records.verdict import Verdict
from search.sensitivity.table import combined
from search.strategies.shared.session import TrialSession
from search.targets.legalise import uniform
from tests.strategies.nets import J6M, chain, weights, written
from tests.strategies.simulated import Simulated

NETWORK = chain()


def test_a_hopeless_candidate_is_rejected_on_few_samples():
    study = Simulated(NETWORK, J6M, {written(NETWORK, "act2"): 0.25})
    session = TrialSession(study.setting())
    trial = study.drive(session.evaluate(uniform(NETWORK, J6M, "low"), stage="low"))
    assert trial.verdict is Verdict.REJECTED
    assert trial.n_run < 400
    assert sum(len(part.values) for part in trial.parts["top1@y0"]) == trial.n_run


def test_a_rejected_candidate_wanted_in_full_is_run_in_full_under_its_number():
    study = Simulated(NETWORK, J6M, {written(NETWORK, "act2"): 0.25})
    session = TrialSession(study.setting())
    low = uniform(NETWORK, J6M, "low")
    study.drive(session.evaluate(low, stage="low"))
    study.drive(session.evaluate(low, stage="low", full=True))
    assert [(t.number, t.verdict, t.n_run) for t in session.trials] == [(1, Verdict.NOT_MET, 2000)]
    assert session.trials[0].worst


def test_a_complete_candidate_without_bad_cases_can_still_become_a_base():
    study = Simulated(NETWORK, J6M, {weights(NETWORK, "conv1"): 1.12e-4})  # so near the goal that nothing rejects it
    session = TrialSession(study.setting())
    low = uniform(NETWORK, J6M, "low")
    first = study.drive(session.evaluate(low, stage="low"))
    assert first.verdict is Verdict.NOT_MET
    assert not first.worst

    def plan():
        base = yield from session.evaluate(low, stage="low", full=True)
        return (yield from session.tables(base, "low", formats=(Format.INT8,)))

    assert len(study.drive(plan())) == 1


def test_a_known_configuration_answers_at_once():
    study = Simulated(NETWORK, J6M, {})
    session = TrialSession(study.setting())
    low = uniform(NETWORK, J6M, "low")
    first = study.drive(session.evaluate(low, stage="low"))
    asked = len(study.asked)
    other = low.with_({0: Precision.FP32})  # becomes fp16, another configuration
    assert study.drive(session.evaluate(low.with_({1: Precision.A8W8}), stage="again")) is first
    assert len(study.asked) == asked
    assert study.drive(session.evaluate(other, stage="other")) is not first


def test_a_table_ranks_every_point_of_the_wanted_formats():
    study = Simulated(NETWORK, J6M, {written(NETWORK, "act2"): 0.01, weights(NETWORK, "conv1"): 0.001})
    session = study.run()
    table = session.table_list[0]
    assert table.rows[0].rank == 1
    assert [row.value for row in table.rows] == sorted((row.value for row in table.rows), reverse=True)
    assert len({(row.point.kind, row.point.index) for row in table.rows}) == len(table.rows)


@pytest.mark.parametrize(("value", "collapsed"), [(0.49, True), (0.51, False), (1.0, False)])
def test_a_score_has_collapsed_below_half_of_float(value, collapsed):
    study = Simulated(NETWORK, J6M, {written(NETWORK, "act2"): (1 - value) ** 2})
    session = TrialSession(study.setting())
    trial = study.drive(session.evaluate(uniform(NETWORK, J6M, "low"), stage="low", full=True))
    assert session.setting.goals[0].is_collapsed(trial.parts["top1@y0"]) is collapsed


def test_sparing_counts_where_it_says_more_than_the_point_alone():
    # Point 1 alone is harmless, yet without it the error of the whole is gone.
    assert combined([0.4, 0.1, 0.2], [1.0, 0.2, 0.9]) == pytest.approx([0.4, 0.4, 0.2])
    assert combined([0.4, 0.1], [0.7, 0.7]) == pytest.approx([0.4, 0.1])
    assert combined([0.0, 0.0], [0.5, 0.1]) == pytest.approx([0.0, 1.0])
    assert combined([], []) == []
