"""A chip with one precision: the best metric over calibration settings, also where the chip cannot run some of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.errors import UsageError
from search.evaluation.configuration import Calibration
from search.records.verdict import Verdict
from search.strategies.auto.one_precision import (
    best_calibrated,
    check_strategy,
    has_one_precision,
    one_precision,
    sample_sizes,
)
from tests.strategies.nets import J6M, J6P, ORT, TX, chain, written
from tests.strategies.simulated import Simulated, refusal

METHODS = ("min_max", "percentile", "mse", "kl", "kl_v2", "mix")
REFUSED = refusal("conv1", message="OP:conv1 q2:-12 must range in [0, 31] to meet hardware specifications")


def calibration(method="kl", samples=64, exact=()):
    return Calibration(
        blob=f"ranges:{samples}", method_8=method, method_16="min_max", samples=samples, exact=tuple(exact)
    )


def simulated(calibrations, loudness=lambda _: 1.0, **more):
    network = chain(3)
    noise = {written(network, f"conv{i}"): 2e-4 for i in range(3)}
    return Simulated(network, TX, noise, calibrations=tuple(calibrations), loudness=loudness, **more)


def test_every_setting_is_evaluated_once_on_everything():
    settings_ = [calibration(method, samples) for samples in (4, 16) for method in METHODS]
    run = simulated(settings_)
    session = run.run(one_precision)
    assert [trial.configuration.calibration for trial in session.trials] == settings_
    assert {trial.n_run for trial in session.trials} == {run.n}
    assert {trial.cost for trial in session.trials} == {1.0}
    assert run.evaluations == len(settings_)


def test_the_best_metric_wins_wherever_it_stands():
    loud = {"min_max": 9.0, "percentile": 4.0, "mse": 1.0, "kl": 2.0, "kl_v2": 3.0, "mix": 5.0}
    run = simulated([calibration(method) for method in METHODS], lambda one: loud[one.method_8])
    session = run.run(one_precision)
    best = best_calibrated(session.trials, session.setting.goals)
    assert best.configuration.calibration.method_8 == "mse"
    assert best.values == max((trial.values for trial in session.trials), key=lambda values: values["top1@y0"])


def test_equally_good_settings_are_settled_by_fewer_samples_and_then_by_the_simpler_method():
    run = simulated([calibration(method, samples) for samples in (4, 16, 64) for method in METHODS])
    session = run.run(one_precision)
    best = best_calibrated(session.trials, session.setting.goals)
    assert (best.configuration.calibration.samples, best.configuration.calibration.method_8) == (4, "min_max")


def test_kept_whole_numbers_are_settings_of_their_own():
    run = simulated([calibration(exact=[0]), calibration()], lambda one: 1.0 if one.exact else 3.0)
    session = run.run(one_precision)
    assert [trial.why for trial in session.trials] == ["x kept as whole numbers", "x quantized"]
    assert best_calibrated(session.trials, session.setting.goals) is session.trials[0]


def test_a_setting_the_chip_cannot_run_fails_and_the_search_goes_on():
    run = simulated(
        [calibration(method) for method in METHODS],
        refuses=lambda configuration: REFUSED if configuration.calibration.method_8 in ("min_max", "mse") else None,
    )
    session = run.run(one_precision)
    assert [trial.verdict is Verdict.INFEASIBLE for trial in session.trials] == [True, False, True, False, False, False]
    assert session.trials[0].infeasible == REFUSED
    assert best_calibrated(session.trials, session.setting.goals).configuration.calibration.method_8 == "percentile"


def test_nothing_is_best_where_the_chip_can_run_nothing():
    session = simulated([calibration(method) for method in METHODS], refuses=lambda _: REFUSED).run(one_precision)
    assert len(session.trials) == len(METHODS)
    assert best_calibrated(session.trials, session.setting.goals) is None


def test_a_setting_that_meets_the_goal_goes_before_better_ones_that_miss_another():
    goals = {"y0": 0.01, "y1": 0.01}
    network = chain(2, outputs=2)
    first, second = written(network, "conv0"), written(network, "conv1")
    run = Simulated(
        network,
        TX,
        {first: 5e-5, second: 5e-5},
        goals=goals,
        calibrations=(calibration("min_max"), calibration("mse")),
        loudness=lambda one: 1e-6 if one.method_8 == "mse" else 0.9,
        only={"y1": {first: 1e6, second: 1e6}},
    )
    session = run.run(one_precision)
    best = best_calibrated(session.trials, session.setting.goals)
    met = [trial.is_met for trial in session.trials]
    assert met == [False, True]
    assert best is session.trials[1]


@settings(max_examples=40, deadline=None)
@given(
    loud=st.lists(st.sampled_from([0.5, 1.0, 4.0, 30.0]), min_size=18, max_size=18), order=st.permutations(range(18))
)
def test_the_winner_is_the_slow_minimum_over_metric_samples_and_method(loud, order):
    candidates = [calibration(method, samples) for samples in (4, 16, 64) for method in METHODS]
    by_candidate = dict(zip(candidates, (loud[i] for i in order), strict=True))
    session = simulated(candidates, lambda one: by_candidate[one], n=400).run(one_precision)
    value = {trial.configuration.calibration: trial.values["top1@y0"] for trial in session.trials}
    slow = sorted(candidates, key=lambda one: (-value[one], one.samples, METHODS.index(one.method_8)))[0]
    assert best_calibrated(session.trials, session.setting.goals).configuration.calibration == slow


@pytest.mark.parametrize(("n", "sizes"), [(1, (1,)), (3, (1, 3)), (16, (1, 4, 16)), (256, (16, 64, 256))])
def test_sample_counts_end_with_all(n, sizes):
    assert sample_sizes(n) == sizes


def test_only_a_chip_with_one_precision_has_this_search():
    assert has_one_precision(TX)
    assert not any(has_one_precision(target) for target in (J6M, J6P, ORT))
    check_strategy("auto", TX)
    check_strategy("ladder", J6M)
    for strategy in ("ladder", "optuna", "exhaustive"):
        with pytest.raises(UsageError, match=r"tx5105c runs everything at a8w8\. Use --strategy auto"):
            check_strategy(strategy, TX)
