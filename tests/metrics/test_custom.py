"""A user's own metric."""

import numpy as np
import pytest

from search.errors import UsageError
from search.metrics.custom import per_sample_metric
from search.metrics.intervals import value_interval


def test_the_value_is_the_mean_of_what_the_callable_gives():
    metric = per_sample_metric("iou", lambda outputs, labels: (outputs[:, 0] * labels)[:, None])
    part = metric.measure(np.float32([[1], [2], [3]]), np.zeros(3), np.float32([1, 1, 2]))
    assert metric.value([part]) == 3.0
    assert metric.direction == "higher"
    assert value_interval(metric, [part]).method == "bootstrap"


def test_direction_and_labels_are_the_callers_choice():
    metric = per_sample_metric("size", lambda outputs, labels: outputs[:, 0], direction="lower", needs_labels=False)
    assert metric.value([metric.measure(np.float64([[1], [3]]), np.zeros(2), None)]) == 2.0
    assert metric.direction == "lower"


@pytest.mark.parametrize("wrong", [np.zeros((2, 2)), np.zeros(3), np.float64(1.0), np.zeros(2, np.complex64)])
def test_anything_but_one_number_per_sample_is_refused(wrong):
    metric = per_sample_metric("iou", lambda outputs, labels: wrong, needs_labels=False)
    with pytest.raises(UsageError, match=r"Custom metric 'iou' gave .* must give one real number per sample"):
        metric.measure(np.zeros((2, 1)), np.zeros(2), None)


def test_non_finite_numbers_give_no_value():
    metric = per_sample_metric("iou", lambda outputs, labels: np.array([1e300, 1.0]), needs_labels=False)
    assert metric.result([metric.measure(np.zeros((2, 1)), np.zeros(2), None)]).reason == "non-finite outputs"
