"""Intervals of values and differences by metric."""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import norm

from search.metrics.intervals import confident_value, paired_difference, value_interval
from search.metrics.part import Part
from search.metrics.proportions import PairedCounts, newcombe_paired, tango_lower, wilson
from search.metrics.registry import make_metric


def part(values):
    return [Part(len(values), values=np.asarray(values))]


@pytest.fixture
def errors():
    rng = np.random.default_rng(0)
    reference = np.exp(rng.standard_normal(500)).astype(np.float32)
    return reference + rng.normal(0.02, 0.05, 500).astype(np.float32), reference


def test_right_or_wrong_metrics_get_wilson():
    right = np.arange(50) < 37
    got = value_interval(make_metric("top1"), [*part(right[:20]), *part(right[20:])])
    assert (got.method, got.limits, got.reason) == ("wilson", wilson(37, 50), None)


def test_means_get_a_bootstrap_like_that_of_scipy(errors):
    chosen, _ = errors
    got = value_interval(make_metric("mae"), part(chosen), seed=1)
    expected = scipy_bootstrap((chosen,), np.mean, method="percentile", n_resamples=4000, rng=2).confidence_interval
    assert got.method == "bootstrap"
    assert got.limits.low == pytest.approx(expected.low, rel=0.02)
    assert got.limits.high == pytest.approx(expected.high, rel=0.02)


def test_the_same_seed_gives_the_same_interval(errors):
    chosen, _ = errors
    one, two, other = (value_interval(make_metric("l1"), part(chosen), seed=s) for s in (3, 3, 4))
    assert one == two
    assert one != other


@pytest.mark.parametrize("name", ["rmse", "sqnr_db", "f1"])
def test_values_that_are_no_mean_are_bootstrapped_too(name):
    rng = np.random.default_rng(1)
    metric = make_metric(name)
    if name == "f1":
        labels = rng.integers(0, 3, 400)
        entries = np.stack([np.where(rng.random(400) < 0.8, labels, 0), labels], axis=1).astype(np.float32)
    else:
        entries = np.exp(rng.standard_normal((400, 2) if name == "sqnr_db" else 400)).astype(np.float32)
    limits = value_interval(metric, part(entries)).limits
    assert limits.low < metric.value(part(entries)) < limits.high


def test_a_paired_interval_is_much_narrower_than_that_of_the_value(errors):
    chosen, reference = errors
    metric = make_metric("mae")
    got = paired_difference(metric, part(chosen), part(reference))
    difference = chosen.astype(np.float64) - reference
    spread = 1.96 * difference.std() / math.sqrt(500)
    assert got.value == pytest.approx(difference.mean(), rel=1e-9)
    assert got.method == "bootstrap_paired"
    assert got.limits.low == pytest.approx(difference.mean() - spread, abs=spread / 8)
    assert got.limits.high == pytest.approx(difference.mean() + spread, abs=spread / 8)
    alone = value_interval(metric, part(chosen)).limits
    assert (got.limits.high - got.limits.low) * 10 < alone.high - alone.low


def test_the_difference_of_right_or_wrong_metrics_is_chosen_minus_float():
    chosen = np.array([1, 1, 1, 0, 0, 0, 0, 1, 1, 1], np.bool_)
    reference = np.array([1, 1, 1, 1, 1, 1, 0, 0, 1, 1], np.bool_)
    got = paired_difference(make_metric("top1"), part(chosen), part(reference))
    table = PairedCounts(both=5, only_first=1, only_second=3, neither=1)
    assert (got.value, got.method, got.limits) == (-0.2, "newcombe_paired", newcombe_paired(table))
    bound = confident_value(make_metric("top1"), part(chosen), part(reference), confidence=0.95)
    assert bound.value == 0.8 + tango_lower(table, confidence=0.95)


def test_with_confidence_an_error_metric_is_judged_by_its_upper_bound(errors):
    chosen, reference = errors
    metric = make_metric("mae")
    got = confident_value(metric, part(chosen), part(reference), confidence=0.95).value
    difference = chosen.astype(np.float64) - reference
    expected = chosen.mean(dtype=np.float64) + norm.ppf(0.95) * difference.std() / math.sqrt(500)
    assert got == pytest.approx(expected, rel=1e-3)


def test_with_confidence_a_fidelity_metric_is_judged_by_its_own_bound(errors):
    cosine = 1 - np.abs(errors[0]) / 100
    metric = make_metric("cosine")
    got = confident_value(metric, part(cosine), None, confidence=0.95).value
    assert got == value_interval(metric, part(cosine), confidence=0.9).limits.low
    assert got < metric.value(part(cosine))


def test_fidelity_metrics_have_no_difference():
    got = paired_difference(make_metric("l1"), part(np.ones(3, np.float32)), part(np.ones(3, np.float32)))
    assert (got.value, got.limits) == (None, None)
    assert "no float value" in got.reason


def test_what_has_no_interval_says_why():
    sums = [Part(2, sums=np.ones((3, 2)))]
    assert "only sums" in value_interval(make_metric("miou"), sums).reason
    difference = paired_difference(make_metric("miou"), sums, sums)
    assert (difference.value, difference.limits) == (0.0, None)
    assert "maximum" in value_interval(make_metric("atol"), part(np.ones(5, np.float32))).reason
    assert value_interval(make_metric("atol", 90), part(np.arange(50, dtype=np.float32))).limits is not None
    assert value_interval(make_metric("mae"), part(np.float32([np.nan]))).reason == "non-finite outputs"
    assert value_interval(make_metric("mae"), []).reason == "no samples"
    bound = confident_value(make_metric("miou"), sums, sums, confidence=0.95)
    assert bound.value is None
    assert "only sums" in bound.reason


def test_mistakes_of_the_caller_are_refused():
    top1, right = make_metric("top1"), np.ones(3, np.bool_)
    with pytest.raises(ValueError, match="3 samples of the candidate cannot be paired with 2"):
        paired_difference(top1, part(right), part(right[:2]))
    with pytest.raises(ValueError, match=r"between 0.5 and 1, got 0.5"):
        confident_value(top1, part(right), part(right), confidence=0.5)
    with pytest.raises(ValueError, match="'top1' is paired"):
        confident_value(top1, part(right), None, confidence=0.95)
