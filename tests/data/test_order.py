import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data.inputs import InputInfo
from search.data.order import Subset, sample_order, split_confirmation
from search.data.random import random_samples
from search.errors import InvalidDataError
from tests.data.reading import documented


@given(n=st.integers(1, 200), seed=st.integers(0, 2**32))
def test_an_order_holds_every_sample_once(n, seed):
    assert sorted(sample_order(n, seed=seed)) == list(range(n))
    np.testing.assert_array_equal(sample_order(n, seed=seed), sample_order(n, seed=seed))


def test_another_seed_is_another_order():
    assert sample_order(100, seed=0).tolist() != sample_order(100, seed=1).tolist()


@given(n=st.integers(2, 300), share=st.floats(0.001, 0.6), seed=st.integers(0, 9))
def test_a_split_loses_and_repeats_no_sample(n, share, seed):
    n_held = max(1, round(n * share))
    if n_held >= n:
        return
    split = split_confirmation(n, share=share, seed=seed)
    assert len(split.confirmation) == n_held
    assert sorted([*split.evaluation, *split.confirmation]) == list(range(n))
    assert (np.diff(split.evaluation) > 0).all()
    assert (np.diff(split.confirmation) > 0).all()


def test_what_is_held_back_is_not_the_start_of_the_order():
    split = split_confirmation(100, share=0.2, seed=0)
    assert set(split.confirmation) != set(sample_order(100, seed=0)[:20])


def test_a_split_must_leave_samples():
    with pytest.raises(InvalidDataError, match=r"confirmation_share 0\.9 holds back 1 of 1 evaluation samples"):
        split_confirmation(1, share=0.9, seed=0)


def test_a_subset_is_those_samples_and_has_a_digest_of_its_own():
    inputs = [InputInfo("x", np.dtype(np.int8), (None, 3))]
    source = documented(random_samples(inputs, seed=0, n_samples=10), inputs)
    subset = Subset(source, np.array([7, 2, 5], np.intp))
    everything = source.batch(slice(None))["x"]
    assert subset.n_samples == 3
    np.testing.assert_array_equal(subset.batch(slice(1, 3))["x"], everything[[2, 5]])
    np.testing.assert_array_equal(subset.batch([2, 0])["x"], everything[[5, 7]])
    assert len({source.digest, subset.digest, Subset(source, np.array([2, 5, 7], np.intp)).digest}) == 3
