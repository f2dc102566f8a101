"""The front against its definition."""

from hypothesis import given
from hypothesis import strategies as st

from service.store.db.trials import TrialRow
from service.usecases.studies.front import front, lower_goals

VALUE = st.one_of(st.none(), st.integers(0, 4).map(float))


def row(no: int, cost: float, top1: float | None, mae: float | None) -> TrialRow:
    return TrialRow(
        no=no,
        digest="",
        stage="",
        verdict="met",
        cost=cost,
        ratio=None,
        values={"top1@a": top1, "mae@b": mae},
        n_run=1,
        seconds=0.0,
        why="",
    )


def beats(a: TrialRow, b: TrialRow) -> bool:
    """No worse anywhere, and better somewhere or earlier."""

    def key(one: TrialRow) -> list[float]:
        top1, mae = one.values["top1@a"], one.values["mae@b"]
        return [-one.cost, -99.0 if top1 is None else top1, -99.0 if mae is None else -mae]

    pairs = list(zip(key(a), key(b), strict=True))
    if not all(x >= y for x, y in pairs):
        return False
    return any(x > y for x, y in pairs) or a.no < b.no


@given(st.lists(st.tuples(st.integers(1, 4).map(float), VALUE, VALUE), max_size=12))
def test_it_has_exactly_what_nothing_beats(given_rows: list[tuple[float, float | None, float | None]]) -> None:
    rows = [row(no, *one) for no, one in enumerate(given_rows)]
    kept = [one for one in rows if not any(beats(other, one) for other in rows if other is not one)]
    found = front(rows, frozenset({"mae"}))
    assert sorted(one.no for one in found) == [one.no for one in kept]
    assert [one.cost for one in found] == sorted(one.cost for one in found)


def test_which_values_are_better_follows_from_the_goals() -> None:
    spec = {"goal": [{"metric": "onnx:sha256:x", "max_value": 1.0}, {"metric": "top1"}]}
    assert lower_goals(spec) == {"onnx:sha256:x", "mae", "rmse", "l1", "atol"}
    assert "top1" not in lower_goals({})
