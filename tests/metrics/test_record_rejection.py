"""Early rejection of metrics of records: honest at the limit, quick beyond it, silent where nothing can be said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from search.metrics.part import Part, record_array
from search.metrics.record_prediction import RESAMPLES, record_prediction
from search.metrics.recorded import recorded_metric
from search.metrics.sequential import early_verdict
from search.metrics.user_metric import UserMetric
from tests.metrics.record_populations import populations, rejections

MEAN = recorded_metric("mean", UserMetric(per_batch=lambda o, y: [], value=lambda r: float(np.mean(r))), "higher")


def part(values) -> Part:
    return Part(len(values), values=record_array([float(value) for value in values]))


@pytest.mark.parametrize("population", populations(), ids=lambda one: one.name)
def test_few_orders_at_the_limit_are_rejected(population) -> None:
    assert rejections(population, redraws=40)[0] <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("population", populations(), ids=lambda one: one.name)
def test_at_most_five_percent_of_200_orders_at_the_limit_are_rejected(population) -> None:
    assert rejections(population, redraws=200, seed=11)[0] <= 0.05


@pytest.mark.parametrize("population", populations()[:2], ids=lambda one: one.name)
def test_candidates_clearly_beyond_the_limit_are_rejected_early(population) -> None:
    rejected, saved = rejections(population, redraws=10, beyond=0.1)
    assert rejected == 1.0
    assert saved > 0.5


def test_the_prediction_of_a_mean_is_the_paired_one_and_its_spread_that_of_theory() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(1.0, 3.0, 4000)
    chosen = reference - rng.normal(0.1, 0.2, 4000)
    found = record_prediction(MEAN, part(chosen[:400]), part(reference))
    assert found is not None
    difference = (chosen - reference)[:400]
    assert found.value == pytest.approx(reference.mean() + difference.mean())
    theory = difference.std() / math.sqrt(400) * math.sqrt(1 - 400 / 4000)
    assert found.sd == pytest.approx(theory, rel=3 / math.sqrt(2 * RESAMPLES))


def test_what_is_undefined_for_some_resample_is_not_judged() -> None:
    def value(records):
        return 1.0 / sum(record > 10 for record in records)

    metric = recorded_metric("rare", UserMetric(per_batch=lambda o, y: [], value=value), "lower")
    records = part([11.0, *np.zeros(99)])
    verdict = early_verdict(metric, records.first(100), n=1000, required=0.0, looks=3, reference=part([11.0] * 1000))
    assert not verdict.reject


@pytest.mark.parametrize(("n", "spread"), [(63, 1.0), (200, 0.0)])
def test_few_samples_and_equal_differences_say_nothing(n: int, spread: float) -> None:
    reference = np.random.default_rng(1).normal(0, spread, 1000)
    verdict = early_verdict(MEAN, part(reference[:n] - 5), n=1000, required=-1.0, looks=3, reference=part(reference))
    assert not verdict.reject
