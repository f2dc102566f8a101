"""miou against a slow loop over pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import InvalidDataError
from search.metrics.registry import make_metric

MIOU = make_metric("miou")


def slow_miou(predicted, labels, ignored):
    pairs = [(p, t) for p, t in zip(predicted.flat, labels.flat, strict=True) if t >= 0 and t not in ignored]
    classes = {p for p, _ in pairs if p >= 0} | {t for _, t in pairs}
    if not classes:
        return None
    shares = []
    for c in sorted(classes):
        inside = sum(p == t == c for p, t in pairs)
        around = sum(c in (p, t) for p, t in pairs)
        shares.append(inside / around)
    return sum(shares) / len(shares)


@given(st.integers(0, 2**32 - 1))
def test_equals_a_slow_loop_in_one_part_and_in_two(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-2, 3, (3, 4, 2, 3)).astype(np.float32)
    labels = rng.choice([-1, 0, 1, 2, 3, 255], (3, 2, 3))
    predicted = np.array(
        [[[max(range(4), key=lambda c: (s[c, i, j], -c)) for j in range(3)] for i in range(2)] for s in scores]
    )
    expected = slow_miou(predicted, labels, ignored={255})
    for outputs in (scores, predicted):
        whole = MIOU.measure(outputs, outputs, labels)
        split = [MIOU.measure(outputs[:1], outputs[:1], labels[:1]), MIOU.measure(outputs[1:], outputs[1:], labels[1:])]
        assert MIOU.value([whole]) == pytest.approx(expected, rel=1e-14)
        assert MIOU.value([whole]) == MIOU.value(split)


def test_a_pixel_with_nan_is_wrong_and_belongs_to_no_class():
    scores = np.float32([[[[np.nan, 1]], [[0, 0]]]])  # [1, 2, 1, 2]
    labels = np.array([[[0, 0]]])
    assert MIOU.value([MIOU.measure(scores, scores, labels)]) == 0.5


def test_class_255_counts_where_there_are_more_classes():
    scores = np.zeros((1, 300, 1, 1), np.float32)
    scores[0, 255] = 1
    assert MIOU.value([MIOU.measure(scores, scores, np.array([[[255]]]))]) == 1.0


def test_only_ignored_pixels_give_no_value_but_a_reason():
    scores = np.zeros((1, 2, 1, 1), np.float32)
    result = MIOU.result([MIOU.measure(scores, scores, np.array([[[255]]]))])
    assert result.value is None
    assert "no class occurs" in result.reason


def test_a_float_class_map_is_refused():
    with pytest.raises(InvalidDataError, match="class map of an integer type, got float32"):
        MIOU.measure(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2)), np.zeros((1, 2, 2), np.int64))


def test_scores_of_another_size_are_refused():
    with pytest.raises(InvalidDataError, match=r"\(1, 3, 2, 2\) and labels of shape \(1, 4, 4\)"):
        MIOU.measure(np.zeros((1, 3, 2, 2), np.float32), np.zeros(1), np.zeros((1, 4, 4), np.int64))
