"""Choices that running rules out while a search is under way."""

from __future__ import annotations

import numpy as np
import pytest

from search.strategies.auto.strategy import auto
from search.strategies.shared.settling import best_trial
from tests.strategies.nets import J6E32, J6M32, J6P, ORT
from tests.strategies.simulated import Simulated, refusal
from tests.targets.networks import random_network


def refusing(network, share, seed):
    """Some precisions of some groups cannot run, whatever is around them; what all groups start with can."""

    def refuses(configuration):
        for g, precision in enumerate(configuration.effective.precisions):
            rng = np.random.default_rng([seed, g, len(precision.value), ord(precision.value[1])])
            if precision.value not in ("a8w8", "int8") and rng.random() < share:
                name = network.groups[g].name
                return refusal(name, message=f"{name} overflows at {precision.value}")
        return None

    return refuses


@pytest.mark.parametrize("target", [J6M32, J6E32, J6P, ORT], ids=lambda target: target.name)
@pytest.mark.parametrize("n_groups", [5, 12])
@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_a_choice_ruled_out_at_any_moment_leaves_the_search_consistent(target, n_groups, share):
    for seed in range(3):
        network = random_network(seed, n_groups=n_groups)
        rng = np.random.default_rng([seed, 9])
        noise = {("activation", t): float(10 ** rng.uniform(-4, -2.5)) for t in range(len(network.tensors))}
        refuses = refusing(network, share, seed)
        study = Simulated(network, target, noise, goals={network.outputs[0]: 0.04}, n=1000, refuses=refuses)
        session = study.run(auto)
        for trial in session.trials:
            assert (trial.infeasible is not None) == (refuses(trial.configuration) is not None)
        tried = [trial.configuration.digest for trial in session.trials]
        assert len(set(tried)) == len(tried)
        best = best_trial(session.trials, session.setting.goals)
        assert best is None or best.infeasible is None
