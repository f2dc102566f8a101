"""The contract of metrics: good ones pass all of it, and every way to break it fails one test."""

from __future__ import annotations

import numpy as np
import pytest

import bitbudget
from bitbudget.testing import MetricContract
from search.metrics.part import record_array

RNG = np.random.default_rng(0)
OUTPUTS = {"y": RNG.normal(size=(12, 3))}
LABELS = {"boxes": record_array([RNG.normal(size=(n % 3, 4)) for n in range(12)])}


def spread(outputs, labels):
    return outputs["y"].max(axis=1) - outputs["y"].min(axis=1)


@bitbudget.metric(value=lambda records: sum(n for n, _ in records) / sum(k for _, k in records))
def ratio(outputs, labels):
    return [(len(boxes), 1 + len(boxes)) for boxes in labels["boxes"]]


class TestOfNumbers(MetricContract):
    metric, outputs, labels = staticmethod(spread), OUTPUTS, LABELS


class TestOfRecords(MetricContract):
    metric, outputs, labels = ratio, OUTPUTS, LABELS


def broken(found):
    return type("Broken", (MetricContract,), {"metric": staticmethod(found), "outputs": OUTPUTS, "labels": LABELS})()


@pytest.mark.parametrize(
    ("metric", "test"),
    [
        (lambda o, _: np.full(len(o["y"]), np.nan), "it_gives_a_finite_value_of_one_record_per_sample"),
        (lambda o, _: o["y"][:, 0] - o["y"][:, 0].mean(), "a_record_does_not_depend_on_the_other_samples"),
        (
            bitbudget.metric(value=lambda records: records[0])(lambda o, _: o["y"][:, 0]),
            "the_value_does_not_depend_on_the_order",
        ),
    ],
)
def test_what_breaks_it_fails(metric, test: str) -> None:
    with pytest.raises((AssertionError, bitbudget.InvalidDataError)):
        getattr(broken(metric), f"test_{test}")()
