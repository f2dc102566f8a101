"""Margins: who is right, by how much, and how much noise turns a sample over."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from search.metrics.classification import top1, top5
from search.metrics.margins import margin_order, margins


@pytest.mark.parametrize(("places", "metric"), [(1, top1), (5, top5)])
def test_the_sign_says_whether_the_sample_is_right(places, metric):
    rng = np.random.default_rng(3)
    scores, labels = rng.normal(size=(400, 12)), rng.integers(12, size=400)
    found = margins(scores, labels, places=places)
    assert (found > 0).tolist() == metric(scores, scores, labels).tolist()


def test_noise_turns_samples_over_as_often_as_the_margin_says():
    rng = np.random.default_rng(5)
    classes, power = 20, 0.04
    score = rng.normal(size=classes) * 0.05
    score[3], score[7] = 1.0, 0.9  # one rival only
    margin = float(margins(score[None], np.array([3]), places=1)[0])
    sd = np.linalg.norm(score) * np.sqrt(power / classes)
    noisy = score + rng.normal(size=(40_000, classes)) * sd
    assert np.mean(noisy[:, 3] < noisy[:, 7]) == pytest.approx(norm.cdf(-margin / np.sqrt(power)), abs=0.01)


def test_outputs_without_enough_classes_have_no_margins():
    assert margins(np.zeros((3, 1)), np.zeros(3, np.int64), places=1) is None
    assert margins(np.zeros((3, 5)), np.zeros(3, np.int64), places=5) is None


def test_scores_that_are_not_finite_give_finite_margins():
    found = margins(np.array([[np.nan, 1.0], [np.inf, 0.0], [0.0, 0.0]]), np.array([0, 1, 0]), places=1)
    assert np.isfinite(found).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=30))
def test_the_order_is_by_the_smallest_margin_of_any_goal(pairs):
    first, second = (np.array(column, np.float32) for column in zip(*pairs, strict=True))
    order = margin_order({"a": first, "b": second})
    nearest = [min(abs(float(first[i])), abs(float(second[i]))) for i in order]
    assert nearest == sorted(nearest)
    assert sorted(order.tolist()) == list(range(len(pairs)))
