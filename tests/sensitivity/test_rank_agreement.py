"""Oracle: the correlation with the order by expected values, which drawn tables know."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from search.sensitivity.agreement import FEWEST_POINTS, counting, rank_agreement

N_TABLES = 150


def drawn(rng, n_points, n_samples, spread):
    """Expected values over two decades, and errors that scatter around them from sample to sample."""
    expected = 10.0 ** rng.uniform(-1.9, 0.0, n_points)
    scatter = np.exp(spread * rng.normal(size=(n_points, n_samples)) - spread**2 / 2)
    return expected, expected[:, np.newaxis] * scatter


@pytest.mark.parametrize("n_samples", [4, 6, 9, 16])
@pytest.mark.parametrize("spread", [0.3, 1.0, 1.5])
def test_the_estimate_is_right_on_average(n_samples, spread):
    rng = np.random.default_rng([n_samples, int(10 * spread)])
    estimated, true = [], []
    for _ in range(N_TABLES):
        expected, values = drawn(rng, 25, n_samples, spread)
        found = rank_agreement(values)
        assert found is not None
        kept = counting(values)
        estimated.append(found)
        true.append(stats.spearmanr(values[kept].mean(axis=1), expected[kept]).statistic)
    assert -0.05 <= np.mean(estimated) - np.mean(true) <= 0.03  # where it is off, it rather says too little


def test_points_below_a_hundredth_of_the_largest_do_not_count():
    rng = np.random.default_rng(0)
    _, values = drawn(rng, 12, 8, 0.5)
    quiet = 1e-6 * np.exp(rng.normal(0.0, 1.0, (40, 8)))
    assert counting(np.vstack([values, quiet])).tolist() == counting(values).tolist() + [False] * 40
    assert rank_agreement(np.vstack([values, quiet])) == rank_agreement(values)


def test_points_that_always_keep_their_order_agree_and_noise_does_not():
    ordered = np.arange(1.0, 11.0)[:, np.newaxis] * np.linspace(0.5, 2.0, 6)
    assert rank_agreement(ordered) == pytest.approx(1.0)
    assert rank_agreement(np.ones((10, 6))) == 1.0  # all alike: any order is right
    noise = np.random.default_rng(3).uniform(0.5, 1.0, (60, 8))
    found = rank_agreement(noise)
    assert found is not None
    assert found < 0.5


def test_too_little_says_nothing():
    values = np.random.default_rng(0).uniform(0.5, 1.0, (FEWEST_POINTS, 4))
    assert rank_agreement(values) is not None
    assert rank_agreement(values[:-1]) is None
    assert rank_agreement(values[:, :1]) is None


def test_the_same_table_gets_the_same_estimate():
    values = np.random.default_rng(0).uniform(0.1, 1.0, (30, 20))
    assert rank_agreement(values) == rank_agreement(values.copy())
