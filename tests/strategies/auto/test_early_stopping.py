"""Stopping an evaluation that runs by margin: honest at the limit, quick beyond it, over 500 redrawn populations."""

import numpy as np
import pytest

from search.metrics.margins import margin_order
from search.metrics.part import Part
from search.metrics.registry import make_metric
from search.strategies.auto.early_stopping import EarlyStopping, Look
from search.strategies.auto.goal_model import GoalModel
from search.strategies.shared.goals import GoalState

N, REDRAWS, DROP = 2000, 500, 0.01
LOOKS = (128, 192, 320, 512, 768, 1152)


class Population:
    """Float margins, and the samples that noise turns over; its full drop is exactly what is asked for."""

    def __init__(self, seed, lost_net, *, tail):
        rng = np.random.default_rng(seed)
        right = rng.random(N) < 0.9
        margins = np.where(right, 1.0, -1.0) * np.abs(rng.gamma(2.0, 0.5, N))
        x = rng.uniform(0.004, 0.03)
        scale = np.sqrt(x) * (np.exp(rng.normal(0, 0.4, N)) if tail else 1.0)  # some samples are noisier than others
        noisy = margins + rng.normal(size=N) * scale
        now = noisy > 0
        self.x = x
        self.margins = margins.astype(np.float32)
        self.right, self.now = right, _with_net_loss(rng, right, now, np.abs(margins), lost_net)


def _with_net_loss(rng, right, now, distance, wanted):
    """Turn samples near to the border over or back until the net loss is exact."""
    now = now.copy()
    missing = wanted - (int(np.count_nonzero(right & ~now)) - int(np.count_nonzero(~right & now)))
    kinds = [right & now, ~right & now] if missing > 0 else [right & ~now, ~right & ~now]
    candidates = np.flatnonzero(kinds[0] | kinds[1])
    weights = np.exp(-distance[candidates] / 0.1) + 1e-9
    chosen = rng.choice(candidates, abs(missing), replace=False, p=weights / weights.sum())
    now[chosen] = ~now[chosen]
    return now


def goal_of(right, margins, *, confidence=None):
    """A goal of top-1 that allows ``DROP``."""
    return GoalState(
        id="top1@y",
        metric=make_metric("top1"),
        output="y",
        required=float(right.mean()) - DROP,
        float_value=float(right.mean()),
        float_part=Part(N, values=right),
        ranking="cosine",
        margins=margins,
        confidence=confidence,
    )


def judged(population, *, confidence=None, kappa_error=0.0):
    """Run one population by margin; return the first verdict and the samples it took."""
    order = margin_order({"top1": population.margins})
    right, now = population.right[order], population.now[order]
    goal = goal_of(right, population.margins[order], confidence=confidence)
    noise = population.x * np.exp(kappa_error)
    stopping = EarlyStopping([GoalModel(goal, N)], N, lambda errors: {"y": noise})
    for look in LOOKS:
        said = stopping.look({"top1@y": [Part(look, values=now[:look])]}, {}).look
        if said is not Look.GO_ON:
            return said, look
    return Look.GO_ON, N


@pytest.mark.parametrize(("tail", "kappa_error"), [(True, -0.7), (False, 0.0), (True, 0.7)])
def test_a_candidate_that_just_meets_the_goal_is_rarely_rejected(tail, kappa_error):
    allowed = round(N * DROP)
    rejected = [
        judged(Population(seed, allowed, tail=tail), kappa_error=kappa_error)[0] is Look.REJECT
        for seed in range(REDRAWS)
    ]
    assert np.mean(rejected) <= 0.05


@pytest.mark.parametrize("confidence", [None, 0.95])
def test_a_candidate_three_points_beyond_the_limit_needs_few_samples(confidence):
    lost = round(N * (DROP + 0.03))
    runs = [judged(Population(seed, lost, tail=True), confidence=confidence) for seed in range(REDRAWS // 2)]
    assert np.mean([said is Look.REJECT for said, _ in runs]) >= 0.98
    assert 1 - np.mean([used for _, used in runs]) / N >= 0.6


@pytest.mark.parametrize("flips", [0.02, 0.04, 0.1])
def test_a_confident_goal_is_met_by_chance_in_five_percent_where_the_true_drop_is_the_limit(flips):
    rng = np.random.default_rng(3)
    lost, gained = (flips + DROP) / 2, (flips - DROP) / 2  # shares of all samples
    accepted = []
    for _ in range(REDRAWS):
        draw = rng.random(N)
        right = draw < 0.9
        now = (draw >= lost) & (draw < 0.9 + gained)
        goal = goal_of(right, None, confidence=0.95)
        accepted.append(goal.is_met([Part(N, values=now)], n=N))
    # Of 500 redraws; the exact probability, at most 5 %, is summed up in tests/metrics/test_proportions.py.
    assert np.mean(accepted) <= 0.05 + 1.65 * np.sqrt(0.05 * 0.95 / REDRAWS)
    assert np.mean(accepted) >= 0.005  # not by refusing everything


def test_a_good_candidate_is_taken_for_now_after_few_samples():
    runs = [judged(Population(seed, 2, tail=False)) for seed in range(100)]
    assert np.mean([said is Look.ACCEPT for said, _ in runs]) >= 0.8
    assert np.mean([used for _, used in runs]) < 0.6 * N


def test_outputs_that_are_not_finite_are_rejected_at_once():
    metric = make_metric("cosine")
    goal = GoalState(
        id="cosine@y", metric=metric, output="y", required=0.99, float_value=None, float_part=None, ranking="cosine"
    )
    stopping = EarlyStopping([GoalModel(goal, N)], N, lambda errors: {"y": 1e-9})
    assert stopping.look({"cosine@y": [Part(16, values=np.full(16, np.nan, np.float32))]}, {}).look is Look.REJECT
