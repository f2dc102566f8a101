"""Labels that do not fit are refused with what, where and the limit."""

import numpy as np
import pytest

from search.errors import InvalidDataError
from search.metrics.labels import check_labels
from search.metrics.registry import make_metric

GOOD = [
    ("top1", np.arange(4), (4, 10)),
    ("top1", np.arange(4, dtype=np.uint8)[:, None], (1, 10)),
    ("top1", np.arange(4), (4, 10, 1, 1)),
    ("top1", np.arange(4), (4,)),
    ("f1", np.arange(4), (4, 1)),
    ("top5", np.arange(4), (4, 5)),
    ("miou", np.full((4, 2, 2), 255, np.uint8), (4, 3, 2, 2)),
    ("miou", np.full((4, 2, 2), -1), (4, 2, 2)),
    ("miou", np.full((4, 2, 2), 2), (4, 3, 2, 2)),
    ("mae", np.zeros((4, 2)), (4, 2)),
    ("mae", np.zeros(4, np.int32), (4, 1)),
    ("rmse", np.zeros((4, 2, 1)), (4, 1, 2)),
    ("cosine", None, (4, 2)),
]

BAD = [
    ("top1", None, (4, 10), "needs labels, but the data has no array 'y'"),
    ("top1", np.arange(3), (4, 10), "have 3 entries, but the data has 4 samples"),
    ("top1", np.int64(3), (4, 10), "have one scalar"),
    ("top1", np.eye(4, 10), (4, 10), "Use argmax to turn one-hot rows"),
    ("top1", np.zeros(4), (4, 10), "have type float64; top1 needs class indices"),
    ("top1", np.array([0, 1, 10, 2]), (4, 10), r"hold class 10 \(entry 2\), but the output's classes are 0 to 9"),
    ("f1", np.array([0, -1, 1, 2]), (4, 10), r"hold class -1 \(entry 1\)"),
    ("top1", np.arange(4), (4, 10, 7), r"output of shape \[n, classes\], but the output has shape \(4, 10, 7\)"),
    ("top5", np.arange(4), (4, 4), "at least 5 classes, but the output has 4"),
    ("miou", np.arange(4), (4, 10), r"miou needs class maps \[n, h, w\]"),
    ("miou", np.zeros((4, 3, 3), np.int64), (4, 5, 2, 2), "outputs of shape"),
    ("miou", np.zeros((4, 2, 2)), (4, 5, 2, 2), "have type float64; miou"),
    ("miou", np.full((4, 2, 2), 5), (4, 5, 2, 2), "hold class 5"),
    ("mae", np.zeros((4, 3)), (4, 2), r"shape \(4, 3\), but mae compares them with an output of shape \(4, 2\)"),
    ("mae", np.zeros((4, 2), np.complex64), (4, 2), "needs real numbers"),
    ("rmse", np.array([[0.0], [1.0], [np.nan], [0.0]]), (4, 1), r"hold nan at \(2, 0\)"),
]


@pytest.mark.parametrize(("name", "labels", "shape"), GOOD)
def test_labels_that_fit_pass(name, labels, shape):
    check_labels(make_metric(name), labels, 4, shape)


@pytest.mark.parametrize(("name", "labels", "shape", "message"), BAD)
def test_labels_that_do_not_fit_are_refused(name, labels, shape, message):
    with pytest.raises(InvalidDataError, match=message):
        check_labels(make_metric(name), labels, 4, shape, key="y")
