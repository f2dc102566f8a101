from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.strategies.shared.bisect import fewest, fewest_doubling, most


class Curve:
    """A probe that answers from a function and remembers what it was asked."""

    def __init__(self, passes: Callable[[int], bool]) -> None:
        self.passes = passes
        self.asked: list[int] = []

    def __call__(self, count: int) -> Generator[tuple[()], object, bool]:
        self.asked.append(count)
        return self.passes(count)
        yield ()


def value(plan: Generator[object, object, int | None]) -> int | None:
    with pytest.raises(StopIteration) as end:
        next(plan)
    return end.value.value


@given(high=st.integers(1, 500), threshold=st.integers(1, 500))
def test_fewest_finds_the_threshold_of_a_monotone_curve(high, threshold):
    curve = Curve(lambda k: k >= threshold)
    assert value(fewest(0, high, curve)) == min(threshold, high)
    assert len(curve.asked) <= max(1, high.bit_length())


@given(high=st.integers(1, 500), threshold=st.integers(0, 500))
def test_most_finds_the_threshold_of_a_monotone_curve(high, threshold):
    curve = Curve(lambda k: k <= threshold)
    assert value(most(0, high, curve)) == min(threshold, high - 1)


@given(limit=st.integers(1, 300), threshold=st.integers(1, 400))
def test_doubling_asks_for_little_where_little_is_needed(limit, threshold):
    curve = Curve(lambda k: k >= threshold)
    expected = threshold if threshold <= limit else None
    assert value(fewest_doubling(limit, curve)) == expected
    if expected is not None:
        assert max(curve.asked) <= 2 * threshold
        assert len(curve.asked) <= 2 * threshold.bit_length() + 1


@given(passing=st.sets(st.integers(1, 60), max_size=30))
def test_whatever_comes_back_from_a_curve_that_is_not_monotone_was_seen_to_pass(passing):
    curve = Curve(lambda k: k in passing)
    found = value(fewest(0, 61, curve))
    assert found == 61 or found in passing
    doubled = value(fewest_doubling(60, curve))
    assert doubled is None or doubled in passing


def test_no_probe_where_nothing_lies_between():
    curve = Curve(lambda _: True)
    assert value(fewest(3, 4, curve)) == 4
    assert value(most(3, 4, curve)) == 3
    assert curve.asked == []


def test_a_limit_of_zero_asks_once_for_nothing():
    curve = Curve(lambda _: False)
    assert value(fewest_doubling(0, curve)) is None
    assert curve.asked == [0]
