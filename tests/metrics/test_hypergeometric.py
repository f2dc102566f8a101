"""Draws without replacement against exact counting."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.metrics.hypergeometric import Urn, difference_tail


@st.composite
def urns(draw):
    total = draw(st.integers(0, 30))
    return Urn(total, draw(st.integers(0, total))), draw(st.integers(0, total))


def exact(urn, marked, k):
    return Fraction(comb(marked, k) * comb(urn.total - marked, urn.drawn - k), comb(urn.total, urn.drawn))


@given(urns())
def test_probabilities_equal_exact_counting(case):
    urn, marked = case
    got = urn.probabilities(marked=marked)
    assert len(got) == min(marked, urn.drawn) + 1
    for k, p in enumerate(got):
        assert p == pytest.approx(float(exact(urn, marked, k)), rel=1e-10, abs=1e-15)


def test_probabilities_of_a_large_population_add_up_to_one():
    assert Urn(50_000, 20_000).probabilities(marked=3000).sum() == pytest.approx(1, abs=1e-8)


@given(urns(), st.sampled_from([0.00137, 0.0519, 0.3011]))
def test_the_upper_bound_is_the_last_count_that_is_not_excluded(case, chance):
    urn, marked = case
    seen = min(marked, urn.drawn) // 2
    possible = range(seen, urn.total - (urn.drawn - seen) + 1)
    kept = [c for c in possible if sum(exact(urn, c, k) for k in range(min(c, seen, urn.drawn) + 1)) >= chance]
    assert urn.most_marked(seen=seen, chance=chance) == max(kept)


@given(urns(), urns(), st.integers(-20, 20))
def test_the_tail_of_a_difference_equals_a_double_loop(one, two, at_least):
    losses, gains = one[0].probabilities(marked=one[1]), two[0].probabilities(marked=two[1])
    expected = sum(p * q for i, p in enumerate(losses) for j, q in enumerate(gains) if i - j >= at_least)
    assert difference_tail(losses, gains, at_least) == pytest.approx(expected, abs=1e-12)
    assert difference_tail(losses, gains, -len(gains)) == pytest.approx(float(np.sum(losses) * np.sum(gains)))
