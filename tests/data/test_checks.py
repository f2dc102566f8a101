import numpy as np
import pytest

from search.data.arrays import ArraySource
from search.data.checks import batch_size, check_finite, read_class_labels, read_labels
from search.errors import InvalidDataError


def source(x=None, **labels):
    arrays = {"x": np.zeros((5, 2), np.float32) if x is None else x}
    return ArraySource("eval.npz", arrays, "0" * 64, {key: np.asarray(value) for key, value in labels.items()})


def test_finite_data_passes():
    check_finite(source())
    check_finite(source(np.zeros((5, 2), np.uint8)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_sample(value):
    x = np.zeros((3000, 2000), np.float32)
    x[2345, 7] = x[2999, 0] = value
    with pytest.raises(
        InvalidDataError, match=r"eval\.npz: 'x' holds NaN or infinity in 2 of 3000 samples, first in sample 2345"
    ):
        check_finite(source(x))


def test_samples_are_read_a_few_at_a_time():
    big = source(np.zeros((4, 2**20), np.float32))
    assert batch_size(big) == 4
    assert batch_size(big, 2**20) == 1
    assert batch_size(source(), 80) == 10


@pytest.mark.parametrize("labels", [np.zeros(4), np.zeros(6), np.float32(1)])
def test_there_must_be_a_label_for_every_sample(labels):
    with pytest.raises(InvalidDataError, match=r"labels 'labels' are \[.*\] for 5 samples"):
        read_labels(source(labels=labels), "labels")


def test_a_label_that_is_not_finite_is_refused():
    with pytest.raises(InvalidDataError, match=r"labels 'labels' hold NaN or infinity in 1 samples, first in sample 3"):
        read_labels(source(labels=[0.0, 1, 2, np.nan, 4]), "labels")


def test_whole_numbers_in_any_type_are_classes():
    for dtype in (np.uint8, np.int32, np.float32, np.float64):
        got = read_class_labels(source(labels=np.arange(5, dtype=dtype)), "labels", n_classes=5)
        assert got.dtype == np.int64
        assert got.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2, 3, 5], "hold 5; classes are 0 to 4. Do the labels count from 1"),
        ([0, 1, -1, 3, 4], "hold -1; classes are 0 to 4"),
        ([0, 1, 2.5, 3, 4], "hold 2.5; a class is a whole number"),
    ],
)
def test_a_label_that_is_no_class_is_refused(labels, message):
    with pytest.raises(InvalidDataError, match=message):
        read_class_labels(source(labels=labels), "labels", n_classes=5)


def test_labels_per_pixel_may_hold_the_ignored_class():
    masks = np.zeros((5, 4, 4), np.uint8)
    masks[2, 1] = 255
    assert read_class_labels(source(labels=masks), "labels", n_classes=3, ignore=255).shape == (5, 4, 4)
    with pytest.raises(InvalidDataError, match="hold 255; classes are 0 to 2"):
        read_class_labels(source(labels=masks), "labels", n_classes=3)


def test_the_upper_bound_can_be_open():
    assert read_class_labels(source(labels=[9] * 5), "labels", n_classes=None).tolist() == [9] * 5
    with pytest.raises(InvalidDataError, match="hold -9; classes are from 0"):
        read_class_labels(source(labels=[-9] * 5), "labels", n_classes=None)
