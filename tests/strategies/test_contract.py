"""What holds of every strategy, on random networks with random noise."""

from __future__ import annotations

from math import ceil, log2

import numpy as np
import pytest

from search.assignment import Assignment
from search.precision import Format, Precision
from search.strategies.ladder.strategy import PRUNE_LIMIT, ladder
from search.strategies.shared.session import TrialSession
from search.targets.pins import Pin
from tests.strategies.nets import J6M, J6M32, J6P, ORT
from tests.strategies.simulated import Simulated
from tests.targets.networks import random_network

TARGETS = {"j6m": J6M, "j6m 3.2": J6M32, "j6p": J6P, "ort-cpu": ORT}
CASES = [(name, seed) for name in TARGETS for seed in range(12)]


def simulated(name: str, seed: int, *, jitter: float = 0.2) -> Simulated:
    network = random_network(seed, n_groups=14)
    rng = np.random.default_rng([seed, 1])
    keys = [("activation", t) for t in range(len(network.tensors))]
    keys += [("weight", c) for c in range(len(network.constants))]
    noise = {key: float(10 ** rng.uniform(-8, -2.5)) for key in keys}
    stubborn = [key for key in keys if rng.random() < 0.05]
    outputs = network.outputs[:2]
    return Simulated(
        network,
        TARGETS[name],
        noise,
        steps={key: {Format.INT16: 0.5, Format.FP16: 0.3} for key in stubborn},
        only={output: {key: float(rng.uniform(0, 1)) for key in keys} for output in outputs},
        absmax={t: 1e5 for t in range(len(network.tensors)) if rng.random() < 0.05},
        goals=dict.fromkeys(outputs, 0.02),
        n=1000,
        jitter=jitter,
    )


def summary(session: TrialSession) -> list[tuple[str, str, int, str]]:
    return [(t.stage, t.configuration.digest, t.n_run, t.verdict.value) for t in session.trials]


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_a_strategy_proposes_what_the_chip_runs(name, seed):
    session = simulated(name, seed).run()
    for trial in session.trials:
        effective = trial.configuration.effective
        assert session.setting.legaliser.legalise(effective).effective == effective


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_the_same_inputs_give_the_same_trials(name, seed):
    assert summary(simulated(name, seed).run()) == summary(simulated(name, seed).run())


@pytest.mark.parametrize(("name", "seed"), CASES[::3])
def test_a_replay_over_stored_results_reaches_the_same_point_and_asks_for_nothing_new(name, seed):
    first = simulated(name, seed)
    session = first.run()
    stored = {item.digest for item in first.asked}
    again = simulated(name, seed)
    replayed = again.run()
    assert summary(replayed) == summary(session)
    assert {item.digest for item in again.asked} == stored
    assert len(first.asked) == len(stored)  # no item is asked for twice within one study


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_the_number_of_evaluations_is_logarithmic_in_the_number_of_rows(name, seed):
    study = simulated(name, seed)
    session = study.run()
    rows = max((len(table.rows) for table in session.table_list), default=1)
    tables = 2
    step = ceil(log2(rows + 2)) + 1
    one_mix = step + tables * step + step
    bounds, fp16 = 5, 2 * step + PRUNE_LIMIT + 1
    assert study.evaluations <= bounds + fp16 + 2 * one_mix
    assert len({trial.configuration.digest for trial in session.trials}) == len(session.trials)


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_the_best_trial_is_no_dearer_than_the_first_that_meets_the_goal(name, seed):
    session = simulated(name, seed).run()
    met = [trial for trial in session.trials if trial.is_met]
    if met:
        assert min(trial.cost for trial in met) <= met[0].cost
    else:
        assert any(trial.is_complete for trial in session.trials)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("seed", range(6))
def test_pins_hold_in_every_trial(name, seed):
    study = simulated(name, seed)
    rng = np.random.default_rng([seed, 2])
    setting = study.setting()
    chosen = {int(g) for g in rng.choice(len(study.network.groups), 4, replace=False)}
    wanted = {
        g: setting.book.allowed[g].choices[int(rng.integers(len(setting.book.allowed[g].choices)))] for g in chosen
    }
    study.pins = [
        Pin(match=study.network.groups[g].name, exactly=precision.value, freeze=True) for g, precision in wanted.items()
    ]
    for trial in study.run().trials:
        assert {g: trial.configuration.effective[g] for g in chosen} == wanted


def test_a_plan_cut_short_has_the_trials_it_finished():
    study = simulated("j6m", 3)
    session = TrialSession(study.setting())
    plan = ladder(session)
    items = next(plan)
    for _ in range(3):
        items = plan.send({item.digest: study.answer(item) for item in items})
    whole = summary(simulated("j6m", 3).run())
    assert summary(session) == whole[: len(session.trials)]
    plan.close()


def test_all_lows_and_all_highs_of_the_setting_are_legal():
    for name, target in TARGETS.items():
        setting = simulated(name, 0).setting()
        for bound in setting.bounds:
            assert isinstance(bound, Assignment)
            assert setting.legaliser.legalise(bound).effective == bound
        assert setting.cost.index(setting.bounds[0]) == pytest.approx(1.0)
        assert target.all_low_gemm is Precision.A8W8
