"""Casts decide between assignments that are equal otherwise."""

from __future__ import annotations

import pytest

from search.assignment import Assignment
from search.precision import Precision
from search.strategies.shared.session import TrialSession
from search.strategies.shared.settling import best_trial
from search.targets.target import Target
from tests.strategies.nets import J6M
from tests.strategies.simulated import Simulated
from tests.targets.networks import Sketch

P = Precision
THREE, ONE = {1, 4, 7}, {3, 4, 5}


def equal_groups():
    """Nine equal groups in a row."""
    sketch = Sketch()
    value = sketch.input()
    for i in range(9):
        value = sketch.add("Add", [value], output="y" if i == 8 else "")
    return sketch.done()


def free_casts(target: Target) -> Target:
    document = target.to_json()
    for entry in document["cost"]["cast_bytes_per_s"].values():
        entry["value"] = 1e30
    return Target.from_json(document)


def evaluated(target: Target) -> TrialSession:
    """Both assignments evaluated, the three islands first; both meet the goal."""
    network = equal_groups()

    def plan(session: TrialSession):
        for wide in (THREE, ONE):
            request = Assignment(tuple(P.INT16 if g in wide else P.INT8 for g in range(9)))
            yield from session.evaluate(request, stage="mix")

    return Simulated(network, target, {}).run(plan)


def test_the_search_takes_one_island_of_int16_rather_than_three_when_only_casts_differ():
    session = evaluated(J6M)
    assert [trial.is_met for trial in session.trials] == [True, True]
    own = [
        sum(t.picoseconds for t in session.setting.cost.breakdown(x.configuration.effective).groups)
        for x in session.trials
    ]
    assert own[0] == own[1]
    chosen = best_trial(session.trials, session.setting.goals)
    assert chosen is not None
    assert {g for g in range(9) if chosen.configuration.effective[g] is P.INT16} == ONE


def test_without_casts_it_would_not_matter():
    session = evaluated(free_casts(J6M))
    assert session.trials[0].cost == pytest.approx(session.trials[1].cost)
    chosen = best_trial(session.trials, session.setting.goals)
    assert chosen is not None
    assert chosen.number == 1
