"""Goals know how much of the evaluation set has been seen."""

from __future__ import annotations

import numpy as np
import pytest

from search.metrics.part import Part
from search.metrics.registry import make_metric
from search.strategies.shared.goals import GoalState, distance

N = 400


def goal(confidence=None):
    return GoalState(
        id="top1@y",
        metric=make_metric("top1"),
        output="y",
        required=0.9,
        float_value=0.95,
        float_part=Part(N, values=np.arange(N) % 20 != 0),
        ranking="cosine",
        confidence=confidence,
    )


@pytest.mark.parametrize("confidence", [None, 0.95])
@pytest.mark.parametrize("n", [1, 16, N - 1])
def test_a_part_of_the_samples_never_meets_a_goal(confidence, n):
    seen = [Part(n, values=np.ones(n, np.bool_))]
    assert not goal(confidence).is_met(seen, n=N)
    assert goal(confidence).judged(seen) is not None


def test_all_samples_meet_it_whether_they_come_in_one_part_or_in_many():
    right = np.arange(N) % 20 != 0
    parts = [Part(100, values=right[start : start + 100]) for start in range(0, N, 100)]
    assert goal(0.95).is_met(parts, n=N)
    assert not goal(0.95).is_met(parts[:3], n=N)


def test_the_bound_of_a_part_is_paired_with_the_same_samples_of_float():
    right = np.arange(N) % 20 != 0
    alone = GoalState(**{**vars(goal(0.95)), "float_part": Part(100, values=right[:100])})
    seen = [Part(100, values=np.arange(100) % 10 != 0)]
    assert goal(0.95).judged(seen) == alone.judged(seen)


def test_the_bound_expected_on_the_full_set_lies_nearer_to_the_value_than_that_of_a_part():
    seen = [Part(100, values=np.arange(100) % 10 != 0)]
    value, bound, expected = goal().judged(seen), goal(0.95).judged(seen), goal(0.95).judged(seen, n=N)
    assert bound < expected < value
    assert value - expected == pytest.approx((value - bound) / 2)


def test_a_trial_without_a_value_is_farther_away_than_any_other():
    goals = [goal()]
    seen = {"top1@y": [Part(1, values=np.ones(1, np.bool_))]}
    assert distance({"top1@y": None}, seen, goals) == np.inf
    assert distance({"top1@y": 0.0}, seen, goals) == pytest.approx(1.0)
    assert distance({"top1@y": 0.95}, seen, goals) == 0.0
