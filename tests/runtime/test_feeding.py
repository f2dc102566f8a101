from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.data.layout import OutputLayout
from search.runtime.feeding import Feeding


@given(n=st.integers(1, 40), batch=st.integers(1, 12), fixed=st.booleans())
def test_every_sample_is_run_once_in_order(n, batch, fixed):
    indices = np.random.default_rng(n).permutation(100)[:n]
    runs = list(Feeding(batch=batch, fixed=fixed).slices(indices))
    np.testing.assert_array_equal(np.concatenate([part[:fresh] for part, fresh in runs]), indices)
    if fixed:
        assert all(len(part) == batch and (part[fresh:] == part[fresh - 1]).all() for part, fresh in runs)
    else:
        assert all(len(part) == fresh for part, fresh in runs)


def test_nothing_to_run_is_no_run():
    assert list(Feeding(batch=4, fixed=True).slices(np.arange(0))) == []


def test_rows_of_an_output_lie_where_its_layout_says():
    feeding = Feeding(2, fixed=False, outputs={"state": OutputLayout(1), "grid": OutputLayout(None, shared=True)})
    state, grid = np.arange(12).reshape(3, 2, 2), np.arange(4)
    np.testing.assert_array_equal(feeding.rows("state", state, 2, 1), state[:, :1].swapaxes(0, 1))
    np.testing.assert_array_equal(feeding.rows("grid", grid, 2, 2), [grid, grid])
    np.testing.assert_array_equal(feeding.rows("y", state[:2], 2, 2), state[:2])
    np.testing.assert_array_equal(feeding.rows("y", grid, 1, 1), [grid])
