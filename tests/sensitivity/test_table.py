from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.precision import Format
from search.sensitivity.points import Point, PointKind
from search.sensitivity.table import combined, make_table, ranking_samples
from tests.sensitivity.test_points import network

POINTS = (
    Point(PointKind.ACTIVATION, 0, Format.INT8),
    Point(PointKind.ACTIVATION, 1, Format.INT8),
    Point(PointKind.ACTIVATION, 2, Format.INT8),
    Point(PointKind.WEIGHT, 0, Format.INT8),
)


def table(values):
    return make_table(network(), output="y", metric="l1", base="all_int8", points=POINTS, values=values)


def test_rows_go_from_the_largest_value_down_and_say_who_owns_them():
    rows = table([0.1, 0.4, 0.0, 0.2]).rows
    assert [(row.op_name, row.op_type, row.point.kind.value, row.rank) for row in rows] == [
        ("conv", "Conv", "activation", 1),
        ("conv", "Conv", "weight", 2),
        ("x", "Input", "activation", 3),
        ("add", "Add", "activation", 4),
    ]
    assert [row.group for row in rows] == [0, 0, None, 1]
    assert [(row.macs, row.share) for row in rows] == [(90, 1.0), (90, 1.0), (0, 0.0), (0, 0.0)]


def test_ties_keep_the_order_of_the_network():
    assert [row.point for row in table([0.5, 0.7, 0.5, 0.5]).rows] == [POINTS[1], POINTS[0], POINTS[2], POINTS[3]]


def test_the_first_k_rows_are_the_most_sensitive():
    found = table([3.0, 1.0, 2.0, 0.0])
    assert [row.value for row in found.first(2)] == [3.0, 2.0]
    assert found.first(99) == found.rows


@given(st.lists(st.floats(0, 1e6), min_size=4, max_size=4))
def test_every_point_has_one_row_and_ranks_count_from_one(values):
    rows = table(values).rows
    assert sorted(row.point.index for row in rows) == [0, 0, 1, 2]
    assert [row.rank for row in rows] == [1, 2, 3, 4]
    assert all(a.value >= b.value for a, b in itertools.pairwise(rows))


def test_bad_cases_are_taken_from_the_outputs_in_turns():
    worst = {"a": {"l1": [(5, 0.9), (3, 0.8), (1, 0.7)]}, "b": {"cosine": [(7, 0.5), (5, 0.4), (2, 0.1)]}}
    assert ranking_samples(worst, {"a": "l1", "b": "cosine"}, 3) == (3, 5, 7)
    assert ranking_samples(worst, {"a": "l1"}, 2) == (3, 5)
    assert ranking_samples(worst, {"a": "l1", "b": "cosine"}, 99) == (1, 2, 3, 5, 7)


def test_without_outputs_there_are_no_bad_cases():
    assert ranking_samples({}, {}, 5) == ()


def test_a_collapsed_base_counts_what_sparing_a_point_gains():
    # Alone, the first point hurts most; but only sparing the second one brings the base back.
    assert combined([0.4, 0.1, 0.0], [1.0, 0.2, 0.9]) == pytest.approx([0.4, 0.4, 0.05])


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)), max_size=6))
def test_combined_values_are_finite_and_never_below_the_value_alone(pairs):
    alone, spared = [one for one, _ in pairs], [left for _, left in pairs]
    for value, one in zip(combined(alone, spared), alone, strict=True):
        assert math.isfinite(value)
        assert value >= one * (1 - 1e-9) - 1e-300
