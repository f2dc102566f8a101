"""Intervals of shares against SciPy, published tables and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import binomtest

from search.metrics.proportions import PairedCounts, newcombe_paired, tango_lower, wilson


def counts(both, first, second, neither):
    return PairedCounts(both=both, only_first=first, only_second=second, neither=neither)


@given(
    st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.8, 0.95, 0.99])
)
def test_wilson_equals_scipy(share, confidence):
    right, n = share
    got = wilson(right, n, confidence=confidence)
    expected = binomtest(right, n).proportion_ci(confidence, method="wilson")
    assert got.low == pytest.approx(expected.low, rel=1e-9, abs=1e-12)
    assert got.high == pytest.approx(expected.high, rel=1e-9, abs=1e-12)


def test_wilson_of_the_worked_example_of_newcombe():
    got = wilson(81, 263)  # Newcombe 1998, two-sided single proportion, table I: 0.2553 to 0.3662
    assert (round(got.low, 4), round(got.high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(
    ("table", "low", "high"),
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),  # Newcombe 1998, paired differences, method 10
        ((1, 1, 7, 12), -0.5069, -0.0256),  # airway hyper-responsiveness, Fagerland et al. 2014
    ],
)
def test_newcombe_paired_equals_published_examples(table, low, high):
    got = newcombe_paired(counts(*table))
    assert (round(got.low, 4), round(got.high, 4)) == (low, high)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_the_paired_interval_holds_the_difference_and_turns_with_it(both, first, second, neither):
    if both + first + second + neither == 0:
        return
    got, turned = (
        newcombe_paired(counts(both, first, second, neither)),
        newcombe_paired(counts(both, second, first, neither)),
    )
    difference = (first - second) / (both + first + second + neither)
    assert -1 <= got.low <= difference + 1e-12
    assert difference - 1e-12 <= got.high <= 1
    assert got.low == pytest.approx(-turned.high, abs=1e-12)
    assert got.high == pytest.approx(-turned.low, abs=1e-12)


def test_no_samples_make_no_interval():
    with pytest.raises(ValueError, match="0 of 0 is no share"):
        wilson(0, 0)
    with pytest.raises(ValueError, match="No one-sided bound of 0 samples"):
        tango_lower(counts(0, 0, 0, 0), confidence=0.95)
    with pytest.raises(ValueError, match="between 0 and 1, got 1"):
        wilson(1, 2, confidence=1)


@given(st.integers(1, 400), st.integers(0, 40), st.integers(0, 40))
def test_tango_is_below_the_difference_and_falls_with_confidence(both, first, second):
    table = counts(both, first, second, 5)
    bounds = [tango_lower(table, confidence=c) for c in (0.8, 0.95, 0.99)]
    assert -1 <= bounds[2] <= bounds[1] <= bounds[0] <= (first - second) / table.n


def test_tango_solves_its_equation_with_the_likelihood_maximised_by_search():
    table, z = counts(800, 12, 30, 158), 1.6448536269514722
    bound = tango_lower(table, confidence=0.95)
    gain = np.linspace(max(0.0, bound), 1 + bound, 2_000_001)[1:-1]
    loss = gain - bound
    inside = (loss > 0) & (gain + loss < 1)
    gain, loss = gain[inside], loss[inside]
    best = np.argmax(12 * np.log(gain) + 30 * np.log(loss) + 958 * np.log1p(-gain - loss))
    variance = 1000 * (gain[best] + loss[best] - bound**2)
    assert (12 - 30 - 1000 * bound - 0.5) / math.sqrt(variance) == pytest.approx(z, rel=1e-4)


@pytest.mark.parametrize("flips", [0.0101, 0.02, 0.05])
@pytest.mark.parametrize("n", [1000, 4000])
def test_at_a_true_drop_at_the_limit_at_most_5_percent_pass_with_confidence(n, flips):
    drop, redraws = 0.01, 20_000
    lose, gain = (flips + drop) / 2, (flips - drop) / 2
    drawn = np.random.default_rng(0).multinomial(n, [gain, lose, 1 - gain - lose], redraws)
    tables, times = np.unique(drawn, axis=0, return_counts=True)
    passed = sum(
        int(k) * (tango_lower(counts(int(same), int(b), int(c), 0), confidence=0.95) >= -drop)
        for (b, c, same), k in zip(tables, times, strict=True)
    )
    assert passed / redraws <= 0.05


@pytest.mark.parametrize(("drop", "flips"), [(0.01, 0.02), (0.01, 0.1), (0.02, 0.2), (0.05, 0.4)])
def test_the_exact_probability_to_pass_at_the_limit_is_at_most_5_percent(drop, flips):
    """Summed over all tables instead of drawn: losses and gains of 400 samples are multinomial."""
    n, total = 400, 0.0
    lose = (flips + drop) / 2
    for changed in range(n + 1):
        weight = stats.binom.pmf(changed, n, flips)
        if weight > 1e-8:
            passes = [
                lost
                for lost in range(changed + 1)
                if tango_lower(counts(n - changed, changed - lost, lost, 0), confidence=0.95) >= -drop
            ]
            most = max(passes, default=-1)
            total += weight * stats.binom.cdf(most, changed, lose / flips)
    assert 0.02 < total <= 0.05
