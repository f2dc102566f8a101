import numpy as np
import pytest

from search.data.inputs import InputInfo
from search.data.random import random_samples
from search.errors import InvalidModelError, UsageError
from tests.data.reading import documented


def random_source(inputs, **how):
    return documented(random_samples(inputs, **how), inputs)


def info(dtype, name="x", shape=(None, 50)):
    return InputInfo(name, np.dtype(dtype), shape)


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("int8", -10, 9), ("int64", -10, 9), ("uint8", 1, 9), ("uint16", 1, 9), ("bool", 0, 1)]
)
def test_integers_take_every_value_of_their_range_and_no_other(dtype, low, high):
    x = random_source([info(dtype)], seed=0).batch(slice(None))["x"]
    assert x.dtype == dtype
    assert np.unique(x.astype(int)).tolist() == list(range(low, high + 1))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_are_standard_normal(dtype):
    x = random_source([info(dtype)], seed=0).batch(slice(None))["x"]
    assert x.dtype == dtype
    assert abs(x.astype(float).mean()) < 0.1
    assert abs(x.astype(float).std() - 1) < 0.1


def test_there_are_64_samples_and_no_labels():
    source = random_source([info("float32", shape=(1, 3, 4))], seed=0)
    assert (source.n_samples, source.label_keys) == (64, ())
    assert source.batch([0])["x"].shape == (1, 3, 4)


def test_the_seed_decides_everything():
    def draw(seed, *inputs):
        return random_source(inputs or [info("float32")], seed=seed)

    np.testing.assert_array_equal(draw(1).batch([5])["x"], draw(1).batch([5])["x"])
    assert draw(1).digest == draw(1).digest
    assert draw(1).digest != draw(2).digest
    assert not np.array_equal(draw(1).batch([5])["x"], draw(2).batch([5])["x"])


def test_another_input_does_not_change_the_first():
    alone = random_source([info("float32")], seed=3).batch([0])["x"]
    both = random_source([info("float32"), info("int8", "y")], seed=3).batch([0])
    np.testing.assert_array_equal(both["x"], alone)
    assert not np.array_equal(*(random_source([info("float32", n) for n in "xy"], seed=3).batch([0])[n] for n in "xy"))


def test_a_size_that_is_not_known_is_refused():
    with pytest.raises(UsageError, match=r"input 'x' is \[\?, 3, \?\]\. Give them with --shape x=1x3x\?"):
        random_source([info("float32", shape=(None, 3, None))], seed=0)


def test_large_inputs_have_fewer_samples_so_that_they_fit_in_memory():
    source = random_source([info("float32", shape=(1, 2**24))], seed=0, n_samples=64)
    assert source.n_samples == 8


def test_inputs_of_which_not_even_two_samples_fit_are_refused_before_memory_is_taken():
    inputs = [info("int8", "small", (1, 4)), info("float32", "huge", (1, 2**27, 2**24))]
    with pytest.raises(InvalidModelError, match=r"'huge' \[1, 134217728, 16777216\]; the limit is 67108864"):
        random_samples(inputs, seed=0)
