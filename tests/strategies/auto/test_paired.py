"""A part of the samples next to an assignment that ran on all: honest at the limit, quick beyond, over 500 redraws."""

import numpy as np
import pytest

from search.metrics.part import Part
from search.metrics.registry import make_metric
from search.strategies.auto.early_stopping import EarlyStopping, Look
from search.strategies.auto.goal_model import GoalModel
from search.strategies.auto.paired import predict
from search.strategies.shared.goals import GoalState

N, REDRAWS = 400, 500
LOOKS = (25, 38, 57, 86, 129, 194, 291)
REQUIRED = {"sqnr_db": 30.0, "cosine": 0.999, "l1": 0.1}


def entries(metric, badness, signal):
    """Per-sample entries of a metric from the badness of each sample."""
    if metric == "sqnr_db":
        return np.stack([np.sqrt(signal), np.sqrt(badness)], axis=1).astype(np.float32)
    return (1.0 - badness if metric == "cosine" else badness).astype(np.float32)


def allowed(metric, signal):
    """Total badness at which the goal is just met."""
    if metric == "sqnr_db":
        return signal.sum() * 1e-3
    return N * (1e-3 if metric == "cosine" else 0.1)


def population(seed, metric, *, beyond, own, hard=0.8):
    """A reference and a candidate whose total badness is ``beyond`` times what is allowed.

    Samples are unequally hard (log-normal, ``hard``) for both alike; ``own`` is what they differ by.
    """
    rng = np.random.default_rng(seed)
    signal = np.exp(rng.normal(0, 0.5, N))
    shape = np.exp(rng.normal(0, hard, N))
    reference = shape * np.exp(rng.normal(0, own, N))
    candidate = shape * np.exp(rng.normal(0, own, N))
    limit = allowed(metric, signal)
    reference *= rng.uniform(0.7, 1.5) * limit / reference.sum()
    candidate *= beyond * limit / candidate.sum()
    return entries(metric, reference, signal), entries(metric, candidate, signal)


def goal_of(metric):
    """A goal of fidelity."""
    return GoalState(
        id=f"{metric}@y",
        metric=make_metric(metric),
        output="y",
        required=REQUIRED[metric],
        float_value=None,
        float_part=None,
        ranking="cosine",
    )


def judged(metric, reference, candidate):
    """Look after every part; return the first verdict and the samples it took."""
    goal = goal_of(metric)
    curve = GoalModel(goal, N)
    curve.observe([Part(N, values=reference)], 1e-3)
    stopping = EarlyStopping([curve], N, lambda errors: {"y": 1e-3})
    for look in LOOKS:
        said = stopping.look({goal.id: [Part(look, values=candidate[:look])]}, {}).look
        if said is not Look.GO_ON:
            return said, look
    return Look.GO_ON, N


@pytest.mark.parametrize("metric", ["sqnr_db", "cosine", "l1"])
@pytest.mark.parametrize("own", [0.1, 0.4])
def test_a_candidate_that_just_meets_the_goal_is_rarely_rejected(metric, own):
    runs = [judged(metric, *population(seed, metric, beyond=0.9999, own=own)) for seed in range(REDRAWS)]
    assert np.mean([said is Look.REJECT for said, _ in runs]) <= 0.05


@pytest.mark.parametrize("own", [0.1, 0.4])
def test_a_candidate_that_just_misses_is_rarely_taken(own):
    runs = [judged("sqnr_db", *population(seed, "sqnr_db", beyond=1.0001, own=own)) for seed in range(REDRAWS)]
    assert np.mean([said is Look.ACCEPT for said, _ in runs]) <= 0.15  # and never for good: it runs on everything


def test_a_candidate_with_a_third_too_much_noise_needs_few_samples():
    runs = [judged("sqnr_db", *population(seed, "sqnr_db", beyond=1.33, own=0.15)) for seed in range(100)]
    assert np.mean([said is Look.REJECT for said, _ in runs]) >= 0.98
    assert 1 - np.mean([used for _, used in runs]) / N >= 0.6


@pytest.mark.parametrize("metric", ["sqnr_db", "cosine", "l1"])
def test_the_predicted_value_is_that_of_the_full_set_where_both_differ_by_a_factor(metric):
    reference, candidate = population(7, metric, beyond=1.2, own=0.0)
    goal = goal_of(metric)
    found = predict(goal.metric, goal.required, Part(40, values=candidate[:40]), Part(N, values=reference))
    exact = goal.value([Part(N, values=candidate)])
    part = goal.value([Part(40, values=candidate[:40])])
    assert found.value == pytest.approx(exact, rel=1e-4)
    assert abs(part - exact) > 10 * abs(found.value - exact)
    assert found.chance < 0.01
    assert found.sd < 1e-3 * found.total


@pytest.mark.parametrize(("required", "chance"), [(29.9, 1.0), (30.1, 0.0)])
def test_the_limit_is_where_the_metric_says(required, chance):
    reference, candidate = population(3, "sqnr_db", beyond=1.0, own=0.0)
    found = predict(make_metric("sqnr_db"), required, Part(100, values=candidate[:100]), Part(N, values=reference))
    assert found.chance == pytest.approx(chance, abs=1e-6)


def test_there_is_no_prediction_for_rates_for_percentiles_or_from_hardly_any_sample():
    right = Part(N, values=np.ones(N, np.bool_))
    assert predict(make_metric("top1"), 0.9, Part(40, values=right.values[:40]), right) is None
    errors = Part(N, values=np.ones(N, np.float32))
    assert predict(make_metric("atol", 99.0), 1.0, Part(40, values=errors.values[:40]), errors) is None
    assert predict(make_metric("l1"), 1.0, Part(5, values=errors.values[:5]), errors) is None
    assert predict(make_metric("l1"), 1.0, Part(40, values=errors.values[:40]), errors) is not None


def test_values_that_are_not_finite_predict_nothing():
    errors = np.ones(N, np.float32)
    broken = errors.copy()
    broken[3] = np.nan
    assert predict(make_metric("l1"), 1.0, Part(40, values=broken[:40]), Part(N, values=errors)) is None
    assert predict(make_metric("l1"), 1.0, Part(40, values=errors[:40]), Part(N, values=broken)) is None
