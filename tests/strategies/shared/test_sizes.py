"""Sizes that no array dimension and no float holds."""

from __future__ import annotations

import numpy as np
import pytest

from search.errors import UsageError
from search.precision import Format
from search.strategies.auto.strategy import auto
from search.strategies.exhaustive.strategy import check_countable, exhaustive
from search.strategies.shared.attenuation import ChoiceSpace, NoiseAttenuation
from search.strategies.shared.lp_relaxation import LpRelaxation, raised
from search.targets.cost import CostModel
from search.targets.legalise import legalise, uniform
from search.targets.pins import Pin
from search.targets.rulebook import Rulebook
from tests.strategies.nets import J6M32, ORT, chain, written
from tests.strategies.simulated import Simulated
from tests.targets.networks import Sketch


def options_of(network, target=J6M32):
    book = Rulebook(network, target)
    low = legalise(network, target, uniform(network, target, "low")).effective
    choices = tuple(raised(own.choices, p) for own, p in zip(book.allowed, low.precisions, strict=True))
    return ChoiceSpace(book, low, choices)


def test_more_assignments_than_a_float_can_count_are_not_enumerated():
    options = options_of(chain(600))
    assert options.count > 10**308
    assert options.all_rows(8192) is None


def test_of_many_groups_only_those_with_a_choice_are_enumerated():
    options = options_of(chain(60))
    few = tuple(own if g in (3, 70) else own[:1] for g, own in enumerate(options.choices))
    rows = ChoiceSpace(options.book, options.base, few).all_rows(8192)
    assert rows.shape == (len(few[3]) * len(few[70]), len(few))
    assert {tuple(row) for row in rows[:, (3, 70)]} == {(i, j) for i in range(len(few[3])) for j in range(len(few[70]))}
    assert not rows[:, [g for g in range(len(few)) if g not in (3, 70)]].any()


def test_a_tensor_with_very_many_readers_is_planned():
    sketch = Sketch()
    value = sketch.add("Conv", [sketch.input()])
    for i in range(1100):
        sketch.add("Add", [value], output=f"y{i}")
    options = options_of(sketch.done())
    found = LpRelaxation(NoiseAttenuation(options, ()), CostModel(options.book.network, J6M32)).cheapest()
    assert found is not None


def test_the_number_of_assignments_is_said_whatever_its_length():
    study = Simulated(chain(4000), J6M32, {})
    with pytest.raises(UsageError, match=r"about 10\^\d{4}"):
        check_countable(study.setting().pins)


@pytest.mark.parametrize("plan", [auto, exhaustive])
def test_a_pinned_backbone_of_more_groups_than_an_array_has_dimensions(plan):
    network = chain(50)
    noise = {written(network, "act48"): 0.05, written(network, "act49"): 1e-4}
    pins = [
        Pin(match=name, at_most="int8")
        for name in ("conv?", "conv[0-3]?", "act?", "act[0-3]?", "conv4[0-7]", "act4[0-7]", "head0")
    ]
    study = Simulated(network, J6M32, noise, pins=pins)
    session = study.run(plan)
    assert any(trial.is_met for trial in session.trials)
    assert all(p.activation is Format.INT8 for p in session.trials[-1].configuration.effective.precisions[:60])


@pytest.mark.slow
def test_a_search_over_very_many_groups_ends():
    network = chain(400)
    rng = np.random.default_rng(0)
    noise = {("activation", t): float(10 ** rng.uniform(-7, -4)) for t in range(len(network.tensors))}
    session = Simulated(network, J6M32, noise, n=500).run(auto)
    assert any(trial.is_met for trial in session.trials)


def test_what_is_cheaper_in_float_is_tried_although_int8_meets_the_goal():
    sketch = Sketch()
    value = sketch.add("Conv", [sketch.input()], macs=1000)
    sketch.add("MaxPool", [value], output="y", elements=100_000)
    session = Simulated(sketch.done(), ORT, {}).run(auto)
    low, high = session.setting.bounds
    assert session.setting.cost.index(high) < session.setting.cost.index(low)
    best = min((trial for trial in session.trials if trial.is_met), key=lambda trial: trial.cost)
    assert best.cost <= session.setting.cost.index(high)
    assert session.minimal is True
