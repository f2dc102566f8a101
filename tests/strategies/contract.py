"""What holds of every strategy, on random networks with random noise: a class to inherit from.

    class TestMine(StrategyContract):
        plan = staticmethod(my_strategy)

A strategy of one's own that passes it can be given to ``Replay``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest

from search.evaluation.configuration import Configuration
from search.evaluation.refusal import Refusal
from search.precision import Format, Precision
from search.records.verdict import Verdict
from search.strategies.shared.bounds import bounds_of
from search.strategies.shared.session import TrialSession
from search.strategies.shared.settling import best_trial, settle
from search.targets.pins import Pin
from search.tasks import Answers, Plan
from tests.strategies.nets import J6M, J6M32, J6P, ORT
from tests.strategies.simulated import Simulated, refusal
from tests.targets.networks import random_network

TARGETS = {"j6m": J6M, "j6m 3.2": J6M32, "j6p": J6P, "ort-cpu": ORT}
NAMES = pytest.mark.parametrize("name", TARGETS)
Summary = list[tuple[str, str, int, str]]


def simulated(name: str, seed: int, *, n_groups: int = 14, jitter: float = 0.2) -> Simulated:
    """A chip with a random network whose noise is spread over five powers of ten."""
    network = random_network(seed, n_groups=n_groups)
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


def summary(session: TrialSession) -> Summary:
    """What a search did, to compare it with another one."""
    return [(t.stage, t.configuration.digest, t.n_run, t.verdict.value) for t in session.trials]


def refusing(study: Simulated, seed: int, share: float) -> Callable[[Configuration], Refusal | None]:
    """Integer precisions of some groups that running finds the chip cannot do; something else is left to each."""
    rng = np.random.default_rng([seed, 3])
    book = study.setting().book
    banned: dict[int, Precision] = {}
    for g, rule in enumerate(book.allowed):
        integers = [p for p in rule.choices if not p.is_float]
        if len(rule.choices) > 1 and integers and rng.random() < share:
            banned[g] = integers[int(rng.integers(len(integers)))]

    def refuses(configuration: Configuration) -> Refusal | None:
        hit = [g for g, precision in banned.items() if configuration.effective[g] is precision]
        if not hit:
            return None
        return refusal(*(study.network.groups[g].name for g in hit))

    return refuses


class StrategyContract:
    """Every strategy: legal, deterministic, replayable, interruptible, true to pins, with an answer in the end.

    Attributes:
        plan: The strategy.
        n_groups: Size of the networks.
        seeds: How many networks per chip.
    """

    plan: ClassVar[Callable[[TrialSession], Plan[Any]]]
    n_groups: ClassVar[int] = 14
    seeds: ClassVar[int] = 3

    def study(self, name: str, seed: int) -> Simulated:
        """One problem of the contract."""
        return simulated(name, seed, n_groups=self.n_groups)

    def searched(self, study: Simulated) -> TrialSession:
        """The strategy and what ends every search."""
        return study.run(self._whole)

    @classmethod
    @cache
    def plain(cls, name: str) -> Sequence[tuple[Simulated, TrialSession]]:
        """All problems of one chip and their searches, made once."""
        contract = cls()
        return [(study, contract.searched(study)) for study in contract.studies(name)]

    def _whole(self, session: TrialSession) -> Plan[None]:
        yield from type(self).plan(session)
        yield from settle(session)

    def studies(self, name: str) -> Sequence[Simulated]:
        """All problems of one chip."""
        return [self.study(name, seed) for seed in range(self.seeds)]

    @NAMES
    def test_what_is_tried_runs_on_the_chip_and_is_tried_once(self, name: str) -> None:
        for _, session in self.plain(name):
            for trial in session.trials:
                effective = trial.configuration.effective
                assert session.setting.legaliser.legalise(effective).effective == effective
            assert len({trial.configuration.digest for trial in session.trials}) == len(session.trials)
            assert [trial.number for trial in session.trials] == list(range(1, len(session.trials) + 1))

    @NAMES
    def test_a_replay_over_stored_results_reaches_the_same_point_and_asks_for_nothing_new(self, name: str) -> None:
        for (first, session), again in zip(self.plain(name), self.studies(name), strict=True):
            assert summary(self.searched(again)) == summary(session)
            assert [item.digest for item in again.asked] == [item.digest for item in first.asked]

    @NAMES
    def test_a_plan_cut_short_anywhere_has_the_trials_it_finished(self, name: str) -> None:
        whole = summary(self.plain(name)[0][1])
        study = self.study(name, 0)
        session = TrialSession(study.setting())
        plan = self._whole(session)
        stages: list[Summary] = []
        items = next(plan)
        try:
            while True:
                stages.append(summary(session))
                items = plan.send(Answers({item.digest: study.answer(item) for item in items}))
        except StopIteration:
            stages.append(summary(session))
        for before, after in pairwise(stages):
            assert len(before) <= len(after)
            assert [one[1] for one in before] == [one[1] for one in whole[: len(before)]]
        assert stages[-1] == whole

    @NAMES
    def test_there_is_an_answer_that_no_bound_undercuts(self, name: str) -> None:
        for study, session in self.plain(name):
            best = best_trial(session.trials, session.setting.goals)
            assert best is not None
            assert best.is_complete
            for bound in bounds_of(session) if best.is_met else ():
                plain = replace(best.configuration, effective=bound.assignment)
                meets = all(study.value(plain, goal.output) >= goal.required for goal in session.setting.goals)
                tried = [t for t in session.trials if t.configuration.effective == bound.assignment]
                rejected = any(t.verdict is Verdict.REJECTED for t in tried)
                assert not meets or rejected or best.cost <= session.setting.cost.index(bound.assignment) + 1e-9

    @NAMES
    def test_pins_hold_in_every_trial(self, name: str) -> None:
        for seed, study in enumerate(self.studies(name)):
            rng = np.random.default_rng([seed, 2])
            allowed = study.setting().book.allowed
            chosen = rng.choice(len(allowed), max(1, len(allowed) // 3), replace=False).tolist()
            wanted = {g: allowed[g].choices[int(rng.integers(len(allowed[g].choices)))] for g in chosen}
            study.pins = [
                Pin(match=study.network.groups[g].name, exactly=precision.value, freeze=True)
                for g, precision in wanted.items()
            ]
            for trial in self.searched(study).trials:
                assert {g: trial.configuration.effective[g] for g in chosen} == wanted

    @NAMES
    @pytest.mark.parametrize("share", [0.2, 0.7])
    def test_what_the_chip_turns_out_not_to_run_is_no_answer_and_no_end(self, name: str, share: float) -> None:
        for seed, study in enumerate(self.studies(name)):
            study.refuses = refusing(study, seed, share)
            session = self.searched(study)
            best = best_trial(session.trials, session.setting.goals)
            assert best is not None
            assert study.refuses(best.configuration) is None
            tried = [t for t in session.trials if study.refuses(t.configuration) is not None]
            assert all(trial.verdict is Verdict.INFEASIBLE and not trial.is_met for trial in tried)
