"""What counted samples say of noise, and how chances of several goals are joined."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from search.metrics.part import Part
from search.metrics.registry import make_metric
from search.strategies.auto.goal_model import GoalModel
from search.strategies.auto.surrogate import all_met
from search.strategies.shared.flip_probability import flip_probability
from search.strategies.shared.goals import GoalState

N = 2000


def curve():
    """A goal of top-1 whose samples are all right, margins ascending."""
    margins = np.linspace(0.0, 2.0, N, dtype=np.float32) + np.float32(1e-4)
    right = Part(N, values=np.ones(N, np.bool_))
    goal = GoalState(
        id="top1@y", metric=make_metric("top1"), output="y", required=0.95, float_value=1.0, float_part=right,
        ranking="cosine", margins=margins,
    )  # fmt: skip
    return GoalModel(goal, N), margins.astype(np.float64)


def observed(n, lost, noise):
    found, _ = curve()
    values = np.ones(n, np.bool_)
    values[:lost] = False
    found.observe([Part(n, values=values)], noise)
    return found.posterior(noise)


def test_half_of_the_front_turned_over_says_little_of_noise():
    """As many as noise can turn over at all: it may be any noise from some value on, so the prior stays in charge."""
    prior_mean, prior_sd = curve()[0].posterior(0.01)
    mean, sd = observed(128, 64, 0.01)
    assert prior_mean <= mean <= prior_mean + 2 * prior_sd
    assert sd >= 0.3
    beyond, _ = observed(128, 90, 0.01)  # more than any noise explains
    assert beyond <= prior_mean + 3 * prior_sd


@pytest.mark.parametrize("x", [0.005, 0.02])
def test_all_samples_tell_the_effective_noise(x):
    _, margins = curve()
    lost = round(float(flip_probability(margins / math.sqrt(x)).sum()))
    mean, sd = observed(N, lost, 0.01)
    assert mean == pytest.approx(math.log(x), abs=0.25)
    assert sd < 0.45


def test_one_goal_keeps_its_chance():
    chance = np.array([0.0, 0.3, 1.0])
    assert all_met([chance]) == pytest.approx(chance)


def test_goals_are_met_together_more_often_than_by_chance_and_never_more_often_than_the_worst():
    a, b = np.array([0.09, 0.5, 0.9, 0.01]), np.array([0.09, 0.5, 0.2, 0.99])
    found = all_met([a, b])
    assert (found >= a * b - 1e-6).all()
    assert (found <= np.minimum(a, b) + 1e-6).all()
    assert all_met([b, a]) == pytest.approx(found)


def test_two_goals_are_joined_as_normals_that_share_variance():
    rng = np.random.default_rng(0)
    shared = math.sqrt(0.7) * rng.normal(size=400_000)
    one, two = (shared + math.sqrt(0.3) * rng.normal(size=400_000) for _ in range(2))
    simulated = np.mean((one < -1.0) & (two < 0.5))
    assert all_met([ndtr(np.array([-1.0])), ndtr(np.array([0.5]))])[0] == pytest.approx(simulated, abs=0.003)
