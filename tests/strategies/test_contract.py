"""The contract of strategies, over every one there is and one of a user's own."""

from __future__ import annotations

from math import ceil, log2

import pytest

from search.assignment import Assignment
from search.precision import Precision
from search.strategies.auto.strategy import auto
from search.strategies.exhaustive.strategy import exhaustive
from search.strategies.ladder.strategy import PRUNE_LIMIT, ladder
from search.strategies.optuna.strategy import Sampling, optuna
from search.strategies.shared.session import TrialSession
from search.targets.legalise import uniform
from search.tasks import Plan
from tests.strategies.contract import NAMES, TARGETS, StrategyContract, simulated


class TestAuto(StrategyContract):
    plan = staticmethod(auto)
    seeds = 3


class TestLadder(StrategyContract):
    plan = staticmethod(ladder)
    seeds = 4

    @NAMES
    @pytest.mark.parametrize("seed", range(12))
    def test_the_number_of_evaluations_is_logarithmic_in_the_number_of_rows(self, name, seed):
        study = self.study(name, seed)
        session = study.run(ladder)
        rows = max((len(table.rows) for table in session.table_list), default=1)
        tables = 2
        step = ceil(log2(rows + 2)) + 1
        one_mix = step + tables * step + step
        bounds, fp16 = 5, 2 * step + PRUNE_LIMIT + 1
        assert study.evaluations <= bounds + fp16 + 2 * one_mix


class TestExhaustive(StrategyContract):
    plan = staticmethod(exhaustive)
    n_groups = 3
    seeds = 2


class TestTpe(StrategyContract):
    plan = staticmethod(lambda session: optuna(session, Sampling(sampler="tpe", seed=1)))
    n_groups = 6
    seeds = 1


class TestNsga2(StrategyContract):
    plan = staticmethod(lambda session: optuna(session, Sampling(sampler="nsga2", seed=1, batch=4)))
    n_groups = 6
    seeds = 1


def greedy(session: TrialSession) -> Plan[None]:
    """A strategy of a user's own: group after group to the highest precision, in the order of the network."""
    setting = session.setting
    low, high = (uniform(setting.network, setting.target, level) for level in ("low", "high"))
    for n in range(len(low.precisions) + 1):
        raised = Assignment((*high.precisions[:n], *low.precisions[n:]))
        trial = yield from session.evaluate(raised, stage="greedy", why=f"the first {n} groups raised")
        if trial.is_met:
            return


class TestOneOfAUsersOwn(StrategyContract):
    plan = staticmethod(greedy)


def test_all_lows_and_all_highs_of_the_setting_are_legal():
    for name, target in TARGETS.items():
        setting = simulated(name, 0).setting()
        for bound in setting.bounds:
            assert isinstance(bound, Assignment)
            assert setting.legaliser.legalise(bound).effective == bound
        assert setting.cost.index(setting.bounds[0]) == pytest.approx(1.0)
        assert target.all_low_gemm is Precision.A8W8
