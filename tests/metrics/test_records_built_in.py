"""Metrics of records that are built in, each against another library or the definition, step by step."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from search.metrics.custom import MetricFailedError
from search.metrics.recorded import measure_batch
from search.metrics.registry import make_metric
from search.metrics.transcripts import edit_distance, read_ids

SEEDS = st.integers(0, 2**32 - 1)


def value(name, outputs, labels):
    """Measured in two batches, as a search does."""
    metric, half = make_metric(name), len(outputs) // 2

    def part(rows):
        def give(picked):
            taken = np.arange(len(outputs))[rows][list(picked)]
            return {"y": outputs[taken]}, {"labels": [labels[i] for i in taken]}

        return measure_batch(metric, len(outputs[rows]), give)

    return metric.value([part(slice(half)), part(slice(half, None))])


def scored(seed, n=60):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(2, size=n - 2)]
    return np.round(rng.normal(labels, 1.5, n), 1).astype(np.float32), labels


@given(SEEDS)
def test_auc_is_the_mann_whitney_statistic(seed):
    scores, labels = scored(seed)
    u = scipy.stats.mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    assert value("auc", scores, labels) == pytest.approx(u / (labels.sum() * (1 - labels).sum()))


@given(SEEDS)
def test_eer_is_where_the_roc_curve_crosses_the_diagonal(seed):
    scores, labels = scored(seed)
    thresholds = [np.inf, *sorted(set(scores.tolist()), reverse=True)]
    false = [np.mean(scores[labels == 0] >= t) for t in thresholds]
    found = [np.mean(scores[labels == 1] >= t) for t in thresholds]
    at = np.linspace(0, 1, 200_001)
    along = np.linspace(0, len(false) - 1, 200_001)
    x, y = (np.interp(along, np.arange(len(false)), one) for one in (false, found))
    crossing = x[np.argmin(np.abs(x - (1 - y)))]
    assert len(at) == len(x)
    assert value("eer", scores, labels) == pytest.approx(crossing, abs=1e-3)


@given(SEEDS)
def test_f1_is_that_of_the_counts(seed):
    scores, labels = scored(seed)
    said = scores > 0.5
    hits = np.sum(said & (labels == 1))
    expected = 2 * hits / (said.sum() + labels.sum())
    assert value("f1_binary", scores, labels) == pytest.approx(expected)


def test_two_classes_are_a_score_by_their_share():
    logits = np.float32([[0, 1], [2, 0], [0, 3], [1, 0]])
    labels = np.array([1, 0, 1, 0])
    assert value("auc", logits, labels) == 1.0
    assert value("f1_binary", logits, labels) == 1.0
    assert value("eer", logits, labels) == 0.0


@given(SEEDS)
def test_edits_are_those_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    one, two = (rng.integers(3, size=rng.integers(9)) for _ in range(2))

    @cache
    def edits(a, b):
        if not a or not b:
            return len(a) + len(b)
        return min(edits(a[1:], b) + 1, edits(a, b[1:]) + 1, edits(a[1:], b[1:]) + (a[0] != b[0]))

    assert edit_distance(one, two) == edits(tuple(one.tolist()), tuple(two.tolist()))


def test_ctc_reads_repeats_once_and_no_blank():
    steps = [1, 1, 0, 1, 2, 2, 0, 0, 3]
    (read,) = read_ids(np.eye(4, dtype=np.float32)[steps][None])
    assert read.tolist() == [1, 1, 2, 3]


def test_error_rates_are_edits_over_what_was_meant():
    outputs = np.array([[1, 2, 3, -1], [4, 4, -1, -1], [5, 6, 7, 8]])
    labels = [np.array([1, 3]), np.array([4, 4, -1]), np.array([6, 7, 8, 9, 9])]
    assert value("wer", outputs, labels) == pytest.approx((1 + 0 + 3) / 9)
    assert value("cer", outputs, labels) == value("wer", outputs, labels)


def test_depth_is_that_of_the_pixels_with_a_label():
    depth = np.float32([[[[1, 2], [3, 9]]], [[[2, 2], [2, 2]]]])
    truth = np.float32([[[1, 1], [4, 0]], [[2, 2], [4, 0]]])
    first, second = (0 + 1 + 1 / 4) / 3, (0 + 0 + 1 / 2) / 3
    assert value("abs_rel", depth, truth) == pytest.approx((first + second) / 2)
    assert value("delta1", depth, truth) == pytest.approx((1 / 3 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("name", "outputs", "labels", "said"),
    [
        ("auc", np.zeros((2, 3)), [0, 1], r"shape \[2, 3\]; it must be \[n\]"),
        ("eer", np.zeros(2), [0, 2], "labels must be 0 or 1"),
        ("wer", np.zeros((2, 3), np.float32), [np.array([1])] * 2, r"float32 of shape \[2, 3\]; it must be scores"),
        ("wer", np.zeros((2, 3), np.int64), [np.array([0.5])] * 2, "labels are float64 with 1 axes"),
        ("abs_rel", np.ones((2, 4)), np.ones((2, 3)), "4 pixels per image, the labels have 3"),
        ("delta1", np.ones((2, 3)), np.zeros((2, 3)), "no pixel with a label above 0"),
    ],
)
def test_what_does_not_fit_is_named(name, outputs, labels, said):
    def give(rows):
        return {"y": outputs[list(rows)]}, {"labels": [labels[i] for i in rows]}

    with pytest.raises(MetricFailedError, match=said) as error:
        measure_batch(make_metric(name), 2, give)
    assert f"Metric {name!r} raised" in str(error.value)


@pytest.mark.parametrize("name", ["auc", "eer"])
def test_one_label_alone_has_no_value(name):
    assert value(name, np.float32([1, 2]), np.array([1, 1])) is None
