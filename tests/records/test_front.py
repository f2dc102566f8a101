"""The front against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.records.front import front
from search.records.trial import TrialRecord
from tests.trial_rows import trial_record

VALUE = st.one_of(st.none(), st.integers(0, 4).map(float))


def of(no: int, cost: float, top1: float | None, mae: float | None) -> TrialRecord:
    return trial_record(no, cost=cost, seen={"top1@a": top1, "mae@b": mae})


def beats(a: TrialRecord, b: TrialRecord) -> bool:
    """No worse anywhere, and better somewhere or earlier."""

    def key(one: TrialRecord) -> list[float]:
        top1, mae = one.seen["top1@a"], one.seen["mae@b"]
        return [-one.cost, -99.0 if top1 is None else top1, -99.0 if mae is None else -mae]

    pairs = list(zip(key(a), key(b), strict=True))
    if not all(x >= y for x, y in pairs):
        return False
    return any(x > y for x, y in pairs) or a.no < b.no


@given(st.lists(st.tuples(st.integers(1, 4).map(float), VALUE, VALUE), max_size=12))
def test_it_has_exactly_what_nothing_beats(given_trials: list[tuple[float, float | None, float | None]]) -> None:
    trials = [of(no, *one) for no, one in enumerate(given_trials, start=1)]
    kept = [one for one in trials if not any(beats(other, one) for other in trials if other is not one)]
    found = front(trials, {"mae@b"})
    assert sorted(one.no for one in found) == [one.no for one in kept]
    assert [one.cost for one in found] == sorted(one.cost for one in found)


def test_a_value_that_is_not_defined_is_worse_than_any() -> None:
    cheap, undefined = of(1, 1.0, 0.9, 0.1), of(2, 1.1, None, 0.1)
    assert front([cheap, undefined], {"mae@b"}) == (cheap,)


@pytest.mark.parametrize("verdict", ["rejected", "promising", "fail"])
def test_what_did_not_run_on_everything_is_never_on_it(verdict: str) -> None:
    assert front([trial_record(1, verdict=verdict)], ()) == ()
