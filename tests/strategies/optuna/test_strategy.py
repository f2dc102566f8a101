from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from search.evaluation.configuration import Treatment
from search.precision import Precision
from search.strategies.ladder.strategy import high_format
from search.strategies.optuna.space import STARTING_RATIOS, Space
from search.strategies.optuna.strategy import MOST_ASKS, MOST_BELIEVED, Sampling, likely_ratios, optuna
from search.strategies.shared.session import TrialSession
from search.strategies.shared.setting import Setting, Size
from tests.strategies.nets import J6M, J6P, ORT, chain, group, weights, written
from tests.strategies.simulated import Simulated

P = Precision
SAMPLERS = pytest.mark.parametrize("sampler", ["tpe", "nsga2"])


@dataclass
class WithSizes(Simulated):
    """A simulated chip that has calibration sizes to choose from."""

    sizes: tuple[Size, ...] = ()

    def setting(self) -> Setting:
        return replace(super().setting(), sizes=self.sizes)


def searched(sampler="tpe", *, seed=0, batch=1, **given):
    simulated = WithSizes(**{"network": chain(6), "target": J6M, "noise": spread(chain(6)), **given})
    session = simulated.run(lambda session: optuna(session, Sampling(sampler=sampler, seed=seed, batch=batch)))
    return session, simulated


def spread(network):
    return {written(network, f"act{i}"): 1e-5 * 2**i for i in range(6)}


def best(session):
    return min((trial for trial in session.trials if trial.is_met), key=lambda trial: (trial.cost, trial.number))


@SAMPLERS
def test_it_finds_something_between_the_bounds(sampler):
    session, _ = searched(sampler)
    low, high = session.trials[:2]
    assert low.cost < best(session).cost < high.cost
    assert session.minimal is None


@SAMPLERS
def test_the_same_seed_gives_the_same_trials_and_another_one_others(sampler):
    first, again, other = (searched(sampler, seed=seed)[0].trials for seed in (1, 1, 2))
    assert [t.configuration for t in first] == [t.configuration for t in again]
    assert [t.why for t in first] != [t.why for t in other]


def test_low_that_meets_the_goal_ends_it():
    session, simulated = searched(noise={})
    assert [trial.stage for trial in session.trials] == ["all low"]
    assert not [item for item in simulated.asked if item.kind.name != "evaluate"]


def test_nothing_dearer_than_the_best_so_far_is_evaluated():
    session, _ = searched()
    cheapest = float("inf")
    for trial in session.trials[2:]:
        assert trial.cost < cheapest
        cheapest = min(cheapest, trial.cost) if trial.is_met else cheapest


def test_what_is_rejected_early_is_told_as_pruned_in_the_order_of_the_asks():
    _, simulated = searched(noise={k: 8 * v for k, v in spread(chain(6)).items()})
    last = [item for item in simulated.asked if item.kind.name == "propose"][-1].work
    assert last.number == len(last.history)
    pruned = [told for told in last.history if told.samples is not None]
    assert pruned
    assert all(told.samples < simulated.n and told.shortfall > 0 for told in pruned)


@SAMPLERS
def test_a_batch_is_asked_before_any_of_it_is_told(sampler):
    session, simulated = searched(sampler, batch=3)
    asks = [item.work for item in simulated.asked if item.kind.name == "propose"]
    assert asks
    for i in range(0, len(asks), 3):
        histories = [one.history for one in asks[i : i + 3]]
        assert histories[0] == histories[1] == histories[2]
        assert [one.number - len(one.history) for one in asks[i : i + 3]] == [0, 1, 2]
    assert [trial.number for trial in session.trials] == list(range(1, len(session.trials) + 1))
    assert len(asks) <= MOST_ASKS + 3


def test_fp16_is_a_dimension_where_all_of_int16_misses():
    network = chain(6)
    noise = {weights(network, "conv1"): 0.02, written(network, "act0"): 0.01, **spread(network)}
    session, _ = searched(noise=noise)
    assert not session.trials[1].is_met
    assert best(session).configuration.effective[group(network, "conv1")] in (P.FP16, P.A8W16)


SIZES = tuple(Size(samples=n, blob=f"ranges {n}", methods=("kl_v2", "mse")) for n in (4, 16, 64))


def test_a_quieter_calibration_makes_a_cheaper_answer():
    loud = {"kl_v2": 1.0, "mse": 0.05}

    def loudness(calibration):
        return loud[calibration.method_8] * (2.0 if calibration.method_other == "kl_v2" else 1.0)

    plain, _ = searched()
    session, _ = searched(sizes=SIZES, loudness=loudness)
    assert best(session).cost < best(plain).cost
    assert best(session).configuration.calibration.method_8 == "mse"


def test_sample_counts_and_methods_per_class_are_dimensions():
    session, simulated = searched(sizes=SIZES)
    last = [item for item in simulated.asked if item.kind.name == "propose"][-1].work
    choices = {one.name: one.choices for one in last.space}
    assert choices["samples"] == (4, 16, 64)
    assert choices["method_gemm"] == choices["method_other"] == ("kl_v2", "mse")
    assert {told.values["samples"] for told in last.history} == {4, 16, 64}
    used = {trial.configuration.calibration for trial in session.trials}
    assert {one.blob for one in used if one.samples == 64} == {"ranges"}
    assert {one.blob for one in used} <= {"ranges", "ranges 4", "ranges 16"}


def test_a_method_without_ranges_is_never_used():
    sizes = (
        Size(samples=4, blob="ranges 4", methods=("kl_v2",)),
        Size(samples=64, blob="ranges 64", methods=("kl_v2", "mse")),
    )
    session, _ = searched(sizes=sizes)
    few = [t.configuration.calibration for t in session.trials if t.configuration.calibration.samples == 4]
    assert {one.method_8 for one in few} <= {"kl_v2"}
    assert {one.method_other for one in few} <= {None}


@pytest.mark.parametrize("target", [J6P, ORT])
def test_it_works_on_other_chips(target):
    network = chain(6)
    noise = {weights(network, f"conv{i}"): 4e-5 * 2**i for i in range(6)}
    session, _ = searched(target=target, noise=noise)
    assert best(session).cost < session.trials[1].cost


@SAMPLERS
def test_what_the_estimator_believes_in_comes_right_behind_the_bounds(sampler):
    session, simulated = searched(sampler)
    tables = session.table_list
    space = Space(session.setting, session.trials[0].requested, high_format(J6M), tables, (), Treatment())
    fresh = TrialSession(session.setting)
    believed = likely_ratios(fresh, space, *session.trials[:2])
    assert 1 <= len(believed) <= MOST_BELIEVED
    assert believed[0] != STARTING_RATIOS[0]
    asked = next(item for item in simulated.asked if item.kind.name == "propose").work.history
    ratios = [one.values["ratio_0"] for one in asked]
    methods = len(session.setting.methods_8)
    assert ratios[methods : methods + len(believed)] == believed
