import numpy as np
import pytest

from search.data.arrays import ArraySource
from search.data.checks import batch_size, check_finite
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
