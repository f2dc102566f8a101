"""top1, top5 and f1 against slow loops."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InvalidDataError
from search.metrics.registry import make_metric


def value(name, outputs, labels):
    metric = make_metric(name)
    return metric.value([metric.measure(outputs, outputs, labels)])


def ranking(row):
    """Classes from best to worst; of equal scores the lower index first."""
    return sorted(range(len(row)), key=lambda c: (-row[c], c))


def slow_f1(predicted, labels):
    scores = []
    for c in sorted(set(labels) | {p for p in predicted if p >= 0}):
        tp = sum(p == c == t for p, t in zip(predicted, labels, strict=True))
        fp = sum(p == c != t for p, t in zip(predicted, labels, strict=True))
        fn = sum(p != c == t for p, t in zip(predicted, labels, strict=True))
        scores.append(Fraction(2 * tp, 2 * tp + fp + fn))
    return float(sum(scores) / len(scores))


# Few distinct scores, so that ties are common.
SETS = st.integers(5, 8).flatmap(
    lambda c: st.lists(
        st.tuples(st.lists(st.integers(-2, 2), min_size=c, max_size=c), st.integers(0, c - 1)), min_size=1, max_size=12
    )
)


@given(SETS)
def test_equals_a_slow_loop_also_with_ties(samples):
    outputs = np.float32([row for row, _ in samples])
    labels = np.array([label for _, label in samples])
    orders = [ranking(row) for row, _ in samples]
    n = len(samples)
    assert value("top1", outputs, labels) == sum(o[0] == t for o, t in zip(orders, labels, strict=True)) / n
    assert value("top5", outputs, labels) == sum(t in o[:5] for o, t in zip(orders, labels, strict=True)) / n
    assert value("f1", outputs, labels) == pytest.approx(slow_f1([o[0] for o in orders], labels.tolist()), rel=1e-15)


@pytest.mark.parametrize("label", range(6))
@pytest.mark.parametrize("name", ["top1", "top5", "f1"])
def test_a_nan_score_makes_the_sample_wrong_whatever_its_label(name, label):
    outputs = np.float32([[0, 1, np.nan, 9, 2, 3]])
    assert value(name, outputs, np.array([label])) == 0.0


def test_an_infinite_score_is_a_score():
    outputs = np.float32([[0, np.inf, 1], [-np.inf, -1, -2]])
    assert value("top1", outputs, np.array([1, 1])) == 1.0


def test_scores_may_carry_axes_of_length_one_and_labels_too():
    outputs = np.float32([[0, 1], [1, 0]]).reshape(2, 2, 1, 1)
    assert value("top1", outputs, np.array([[1], [1]])) == 0.5


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_a_model_that_ends_in_argmax_gives_class_indices(shape):
    outputs = np.array([2, 0, 1], np.int64).reshape(shape)
    assert value("top1", outputs, np.array([2, 1, 1])) == 2 / 3
    assert value("f1", outputs, np.array([2, 1, 1])) == pytest.approx(slow_f1([2, 0, 1], [2, 1, 1]))


def test_one_float_per_sample_is_no_class():
    with pytest.raises(InvalidDataError, match=r"top1 got one float32 per sample.*\[n, classes\]"):
        value("top1", np.float32([[0.3], [0.9]]), np.array([0, 1]))
    with pytest.raises(InvalidDataError, match=r"top5 needs class scores"):
        value("top5", np.array([1, 2]), np.array([0, 1]))


def test_outputs_with_two_long_axes_are_refused():
    with pytest.raises(InvalidDataError, match=r"shape \[n, classes\], got \(2, 3, 4\)"):
        value("top1", np.zeros((2, 3, 4), np.float32), np.array([0, 1]))


def test_f1_counts_only_classes_that_occur():
    outputs = np.float32([[1, 0, 0, 0], [0, 1, 0, 0]])
    assert value("f1", outputs, np.array([0, 1])) == 1.0
