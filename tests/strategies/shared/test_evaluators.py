"""The evaluator of record and the Q/DQ model beside it; what the arithmetic of a chip rules out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from search.evaluation.refusal import Refusal
from search.metrics.part import Part
from search.precision import Precision
from search.records.verdict import Verdict
from search.strategies.shared.session import TrialSession
from search.strategies.shared.setting import Setting
from search.targets.legalise import uniform
from search.work.kinds.evaluate import Evaluate, Evaluated
from tests.strategies.nets import J6M, J6M32, chain, group, weights, written
from tests.strategies.simulated import Simulated

P = Precision


@dataclass
class InIntegers(Simulated):
    """A chip whose accumulators may overflow, and whose Q/DQ model may disagree with its integers.

    Attributes:
        overflowing: ``(group name, precision)`` that cannot run.
        spoiled: Digests of effective assignments whose Q/DQ models fall short although the integers do not.
    """

    overflowing: set[tuple[str, Precision]] = field(default_factory=set)
    spoiled: set[str] = field(default_factory=set)

    def setting(self) -> Setting:
        return replace(super().setting(), evaluator="integer")

    def value_of(self, work: object) -> object:
        found = super().value_of(work)
        if isinstance(work, Evaluate) and isinstance(found, Evaluated):
            return replace(found, **self._differently(work))
        return found

    def _differently(self, work: Evaluate) -> dict[str, Any]:
        effective = work.configuration.effective
        if work.evaluator == "fake_quant":
            start, stop = work.range
            wrong = Part(stop - start, values=np.zeros(stop - start, np.bool_))
            return {"parts": {"top1@y0": wrong}} if effective.digest in self.spoiled else {}
        names = [g.name for g, p in zip(self.network.groups, effective.precisions, strict=True)]
        hit = [name for name, p in zip(names, effective.precisions, strict=True) if (name, p) in self.overflowing]
        if not hit:
            return {"infeasible": None}
        why = Refusal(
            node=hit[0],
            what="accumulator",
            value=2**33,
            low=-(2**31),
            high=2**31 - 1,
            message=f"{hit[0]} overflows",
            nodes=tuple(hit),
        )
        return {"infeasible": why}


def evaluators(simulated: Simulated) -> list[str]:
    return [item.work.evaluator for item in simulated.asked if isinstance(item.work, Evaluate)]


def test_what_meets_the_goal_in_integers_is_measured_as_a_qdq_model_too():
    simulated = InIntegers(chain(), J6M, {})
    session = simulated.run()
    assert all(trial.is_met and trial.exported is not None for trial in session.trials)
    assert set(evaluators(simulated)) == {"integer", "fake_quant"}


def test_what_misses_the_goal_in_integers_needs_no_qdq_model():
    network = chain()
    simulated = InIntegers(network, J6M, {written(network, "act2"): 10.0})
    session = simulated.run()
    missed = [trial for trial in session.trials if not trial.is_met]
    assert missed
    assert all(trial.exported is None for trial in missed)


def test_the_search_goes_on_where_the_qdq_model_misses_the_goal():
    network = chain()
    low = uniform(network, J6M, "low")
    simulated = InIntegers(network, J6M, {written(network, "act2"): 1e-7}, spoiled={low.digest})
    session = simulated.run()
    bottom = next(trial for trial in session.trials if trial.stage == "all-int8")
    assert bottom.verdict is Verdict.NOT_MET
    assert bottom.values["top1@y0"] > 0.99
    assert bottom.exported is not None
    assert bottom.exported.values["top1@y0"] == 0.0
    best = min((trial for trial in session.trials if trial.is_met), key=lambda trial: trial.cost)
    assert best.cost > bottom.cost


def test_the_qdq_model_of_a_missed_trial_is_measured_for_delivery():
    network = chain()
    simulated = InIntegers(network, J6M, {written(network, "act2"): 10.0})
    session = simulated.run()
    missed = next(trial for trial in session.trials if trial.verdict is Verdict.NOT_MET)
    exported = simulated.drive(session.evaluate_exported(missed))
    assert exported.n_run == simulated.n


@pytest.mark.parametrize(
    ("target", "instead"), [(J6M32, P.A16W16), (J6M, P.A8W16)], ids=["48 bit at hand", "8 bit weights only"]
)
def test_a_group_that_overflows_gets_another_precision_at_once(target, instead):
    network = chain()
    simulated = InIntegers(network, target, {}, overflowing={("conv3", P.A16W8)})
    session = TrialSession(simulated.setting())
    asked = uniform(network, target, "low").with_({group(network, "conv3"): P.A16W8})
    trial = simulated.drive(session.evaluate(asked, stage="probe"))
    assert [one.verdict for one in session.trials] == [Verdict.INFEASIBLE, Verdict.MET]
    assert trial is session.trials[1]
    assert trial.configuration.effective[group(network, "conv3")] is instead
    assert trial.reasons[group(network, "conv3")] == "conv3 overflows"


def test_what_is_known_to_overflow_is_not_tried_again():
    network = chain()
    simulated = InIntegers(network, J6M, {}, overflowing={("conv3", P.A16W8)})
    session = TrialSession(simulated.setting())
    high = uniform(network, J6M, "high")
    simulated.drive(session.evaluate(high, stage="first"))
    again = simulated.drive(session.evaluate(high.with_({group(network, "conv1"): P.A8W8}), stage="second"))
    assert [trial.stage for trial in session.trials] == ["first", "first", "second"]
    assert again.is_met


def test_a_network_that_overflows_everywhere_has_no_feasible_trial():
    network = chain(2)
    overflowing = {(g.name, p) for g in network.groups for p in Precision if g.is_gemm}
    session = InIntegers(network, J6M, {}, overflowing=overflowing).run()
    assert all(trial.verdict is Verdict.INFEASIBLE for trial in session.trials)
    assert not any(trial.is_complete or trial.is_met for trial in session.trials)


def test_the_ladder_meets_the_goal_around_a_group_that_overflows():
    network = chain()
    noise = {written(network, "act2"): 0.01, weights(network, "conv4"): 8e-5}
    session = InIntegers(network, J6M, noise, overflowing={("conv3", P.A16W8), ("conv0", P.A16W8)}).run()
    best = min((trial for trial in session.trials if trial.is_met), key=lambda trial: trial.cost)
    assert best.configuration.effective[group(network, "conv3")] is not P.A16W8
