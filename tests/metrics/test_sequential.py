"""Early rejection: honest at the boundary, quick beyond it."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.metrics.custom import per_sample_metric
from search.metrics.goal_check import meets, required_value
from search.metrics.part import Part
from search.metrics.registry import make_metric
from search.metrics.sequential import early_verdict, fewest_right, look_schedule

N, BATCH, REDRAWS = 4000, 64, 500
TOP1 = make_metric("top1")
FLIPS = (0.02, 0.04, 0.06)


class Outcome:
    """Share of redraws that were rejected, and share of samples not evaluated."""

    def __init__(self, rejected, saved):
        self.rejected, self.saved = rejected, saved


def simulate(metric, chosen, reference, required, redraws=REDRAWS):
    """Evaluate the same population in many random orders."""
    rng, n, looks, used = np.random.default_rng(7), len(chosen), look_schedule(len(chosen), BATCH), []
    for _ in range(redraws):
        order = rng.permutation(n)
        seen = Part(n, values=chosen[order])
        floats = None if reference is None else Part(n, values=reference[order])
        used.append(first_rejection(metric, seen, floats, required, looks))
    return Outcome(np.mean([u is not None for u in used]), 1 - np.mean([u or n for u in used]) / n)


def first_rejection(metric, whole, floats, required, looks):
    for m in looks[:-1]:
        verdict = early_verdict(
            metric, whole.first(m), n=whole.n, required=required, looks=len(looks) - 1, reference=floats
        )
        if verdict.reject:
            return m
    return None


def rate_population(flips, drop, *, n=N, float_rate=0.9):
    """Right-or-wrong results with an exact share of changed samples and an exact drop."""
    reference = np.arange(n) < round(float_rate * n)
    lost, gained = round((flips + drop) / 2 * n), round((flips - drop) / 2 * n)
    assert lost - gained == round(drop * n)
    chosen = reference.copy()
    chosen[:lost] = False
    chosen[n - gained :] = True
    return chosen, reference


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("float_rate", [0.7, 0.9])
def test_at_most_one_percent_of_candidates_exactly_at_the_limit_are_rejected(flips, float_rate):
    chosen, reference = rate_population(flips, 0.01, float_rate=float_rate)
    required = required_value("max_drop", 0.01, float(reference.mean()), "higher")
    assert meets(float(chosen.mean()), required, "higher")
    assert simulate(TOP1, chosen, reference, required).rejected <= 0.01


def test_at_the_limit_with_losses_alone():
    chosen, reference = rate_population(0.01, 0.01)
    assert simulate(TOP1, chosen, reference, 0.89).rejected <= 0.01


@pytest.mark.parametrize("flips", [0.04, 0.05, 0.06, 0.1])
def test_sixty_percent_of_samples_are_saved_three_points_beyond_the_limit(flips):
    chosen, reference = rate_population(flips, 0.04)
    outcome = simulate(TOP1, chosen, reference, 0.89, redraws=200)
    assert outcome.rejected == 1
    assert outcome.saved >= 0.6


def test_a_small_set_is_judged_honestly_too():
    chosen, reference = rate_population(0.05, 0.01, n=400)
    required = required_value("max_drop", 0.01, float(reference.mean()), "higher")
    assert simulate(TOP1, chosen, reference, required).rejected <= 0.01


def test_without_float_results_a_rate_is_judged_alone():
    chosen = np.arange(N) < 3600
    assert simulate(TOP1, chosen, None, 0.9).rejected <= 0.01
    assert simulate(TOP1, chosen, None, 0.95, redraws=50).saved >= 0.6


def mean_cases():
    """Populations of errors: name, metric, chosen, float."""
    rng = np.random.default_rng(5)
    base = np.exp(rng.standard_normal(N))
    rare_gain = 2 + rng.random(N)
    change = rng.normal(0.02, 0.01, N) - (rng.random(N) < 0.02)
    norms = np.stack([10 * np.exp(0.3 * rng.standard_normal(N)), np.exp(rng.standard_normal(N))], axis=1)
    cases = [
        ("l1, long tail", "l1", np.exp(1.5 * rng.standard_normal(N)), None),
        ("l1, a few far better", "l1", 1 - 0.9 * (rng.random(N) < 0.02) + 0.01 * rng.standard_normal(N), None),
        ("cosine", "cosine", 1 - 0.01 * np.exp(rng.standard_normal(N)), None),
        ("sqnr_db", "sqnr_db", norms, None),
        ("mae, paired", "mae", base * np.exp(0.1 * rng.standard_normal(N)), base),
        ("mae, a few far better", "mae", rare_gain + change, rare_gain),
        ("rmse, paired", "rmse", base * np.exp(0.1 * rng.standard_normal(N)), base),
    ]
    return [
        pytest.param(name, c.astype(np.float32), None if f is None else f.astype(np.float32), id=title)
        for title, name, c, f in cases
    ]


def worse_by(metric, value, share):
    """Return a requirement that a value misses by this share of its error."""
    if metric.name == "cosine":
        return 1 - (1 - value) / (1 + share)
    if metric.name == "sqnr_db":
        return value + 10 * math.log10(1 + share)
    return value / (1 + share)


@pytest.mark.parametrize(("name", "chosen", "reference"), mean_cases())
def test_means_at_the_limit_are_rejected_in_at_most_one_percent(name, chosen, reference):
    metric = make_metric(name)
    required = metric.value([Part(N, values=chosen)])
    assert simulate(metric, chosen, reference, required).rejected <= 0.01


@pytest.mark.parametrize(("name", "chosen", "reference"), mean_cases())
def test_means_clearly_beyond_the_limit_are_rejected_early(name, chosen, reference):
    metric = make_metric(name)
    required = worse_by(metric, metric.value([Part(N, values=chosen)]), 1.0)
    outcome = simulate(metric, chosen, reference, required, redraws=50)
    assert outcome.rejected == 1
    assert outcome.saved >= 0.6


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["top1", "mae", "rmse", "cosine", "atol"]))
def test_a_certain_rejection_is_right_whatever_comes(seed, name):
    rng = np.random.default_rng(seed)
    metric = make_metric(name, 80 if name == "atol" else None)
    n, m = 40, int(rng.integers(1, 41))
    values = rng.random(n) < 0.5 if name == "top1" else rng.random(n).astype(np.float32)
    required = float(rng.random())
    verdict = early_verdict(metric, Part(m, values=values[:m]), n=n, required=required, looks=5)
    best = values.copy()
    best[m:] = 1 if metric.direction == "higher" else 0
    best_value = metric.value([Part(n, values=best)])
    assert verdict.certain == (not meets(best_value, required, metric.direction))


def test_non_finite_results_are_a_certain_rejection():
    verdict = early_verdict(make_metric("mae"), Part(1, values=np.float32([np.nan])), n=9, required=1.0, looks=1)
    assert verdict.reject
    assert verdict.certain


def test_a_custom_metric_of_equal_numbers_is_not_rejected():
    metric = per_sample_metric("found", lambda outputs, labels: outputs)
    seen = Part(512, values=np.zeros(512, np.float32))
    assert not early_verdict(metric, seen, n=4000, required=0.01, looks=8).reject


def test_metrics_without_numbers_per_sample_go_on():
    assert not early_verdict(make_metric("miou"), Part(9, sums=np.ones((3, 2))), n=99, required=1.0, looks=1).reject
    wrong = np.float32([[0, 1]] * 99)
    assert not early_verdict(make_metric("f1"), Part(99, values=wrong), n=999, required=1.0, looks=1).reject


@given(st.integers(1, 5000), st.floats(-0.2, 1.2))
def test_the_fewest_right_samples_are_those_of_the_verdict(n, required):
    fewest = fewest_right(required, n)
    assert fewest > n or meets(fewest / n, required, "higher")
    assert fewest == 0 or not meets((fewest - 1) / n, required, "higher")


@given(st.integers(1, 100_000), st.sampled_from([1, 16, 64]))
def test_looks_grow_by_half_in_whole_batches_and_end_with_the_set(n, batch):
    looks = look_schedule(n, batch)
    assert looks[-1] == n
    assert all(m % batch == 0 and m <= 0.8 * n for m in looks[:-1])
    assert all(1.3 < b / a <= 2 for a, b in itertools.pairwise(looks[:-1]))


def test_looks_at_4000_samples():
    assert look_schedule(4000, 64) == (128, 192, 320, 512, 768, 1152, 1728, 2624, 4000)
    assert look_schedule(100, 64) == (100,)


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="Cannot judge 3 of 2 samples"):
        early_verdict(TOP1, Part(3, values=np.ones(3, np.bool_)), n=2, required=0.5, looks=1)
