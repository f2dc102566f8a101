"""Every number of ``auto`` is named, explained, bounded, and reaches the search."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import pytest

import search.strategies.auto as package
from search.strategies.auto.strategy import auto
from search.strategies.auto.tuning import (
    AutoTuning,
    DescentTuning,
    GoalTuning,
    NoiseTuning,
    StoppingTuning,
    meanings,
)
from tests.strategies.nets import J6M32, chain
from tests.strategies.simulated import Simulated

PARTS = (NoiseTuning, GoalTuning, StoppingTuning, DescentTuning)
VALUES = [(part, name) for part in PARTS for name in meanings(part)]


def test_every_value_is_explained():
    for part in PARTS:
        for one in fields(part):
            meaning = one.metadata["meaning"]
            assert meaning.text
            assert meaning.unit
            assert meaning.command.startswith("python -m benchmarks.")
            assert meaning.low <= meaning.tried[0] < meaning.tried[1] <= meaning.high


@pytest.mark.parametrize(("part", "name"), VALUES, ids=[f"{part.__name__}.{name}" for part, name in VALUES])
def test_a_value_out_of_its_range_is_refused_by_name(part, name):
    meaning = meanings(part)[name]
    wrong = meaning.high + 1
    if name == "tightness":
        wrong = (wrong,)
    field = next(one.name for one in fields(AutoTuning) if isinstance(getattr(AutoTuning(), one.name), part))
    with pytest.raises(ValueError, match=rf"{part.__name__}\.{name} is"):
        AutoTuning(**{field: part(**{name: wrong})})


def test_every_value_is_read_somewhere():
    code = "\n".join(p.read_text() for p in Path(package.__file__).parent.glob("*.py") if p.name != "tuning.py")
    for _, name in VALUES:
        stem = re.sub(r"_(by_margin|in_order)$", "", name)
        assert re.search(rf"tuning\.(\w+\.)?{stem}\b|\.descent\.{stem}\b", code), name


def test_no_other_module_of_auto_has_a_number_of_its_own():
    allowed = {"FAR", "STEPS", "GRID", "SIZE_DIVISORS", "FINER"}  # grids, precisions, and counts of another search
    for path in Path(package.__file__).parent.glob("*.py"):
        found = re.findall(r"^([A-Z][A-Z_]+) = .*\d", path.read_text(), re.MULTILINE)
        assert path.name == "tuning.py" or set(found) <= allowed, path.name


def searched(tuning):
    network = chain(5)
    noise = {("activation", t): 10 ** (-4.5 + 0.35 * (t % 5)) for t in range(len(network.tensors))}
    session = Simulated(network, J6M32, noise, n=1000, jitter=0.1).run(partial(auto, tuning=tuning))
    return [(trial.stage, trial.configuration.digest) for trial in session.trials]


def test_a_tuning_of_ones_own_changes_the_search():
    usual = AutoTuning()
    few = replace(usual, descent=DescentTuning(trials=1, sweep_in_order=0, sweep_by_margin=0))
    assert searched(usual) == searched(AutoTuning())
    assert len(searched(few)) < len(searched(usual))
