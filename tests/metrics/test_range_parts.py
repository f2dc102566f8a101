"""Where an output is split: contiguous stretches of which one is far larger than the other, however it is laid out."""

from __future__ import annotations

import numpy as np
import pytest

from search.metrics.range_parts import output_parts, split_by_range
from search.spec.output_part import read_part

BOXES, SCORES = [640.0] * 4, [0.9, 0.01, 0.5]
ALONG = {
    "boxes, scores": (BOXES + SCORES, ((0, 4), (4, 7))),
    "scores, boxes": (SCORES + BOXES, ((0, 3), (3, 7))),
    "three levels": ([1e4, 2e4, 100, 90, 1, 0.5], ((0, 2), (2, 4), (4, 6))),
    "one range": ([1.0, 3.0, 2.0], ()),
    "just not enough": ([16.0, 1.0], ()),
    "just enough": ([16.1, 1.0], ((0, 1), (1, 2))),
    "mixed without a cut": ([640, 1, 640, 1, 640], ()),
    "zeros belong anywhere": ([0, 640, 0, 1, 0], ((0, 3), (3, 5))),
    "all zero": ([0.0, 0.0], ()),
    "too many parts": ([100.0**i for i in range(8)], ()),
    "one number": ([5.0], ()),
}


@pytest.mark.parametrize("name", ALONG)
def test_parts_meet_where_everything_is_far_larger_on_one_side(name):
    largest, expected = ALONG[name]
    found = split_by_range(np.array(largest, np.float64))
    if name == "zeros belong anywhere":
        assert len(found) == len(expected) == 2
        assert found[0][1] in (2, 3)
    else:
        assert found == expected


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_is_found(axis):
    shape = [9, 9, 9]
    shape[axis] = 7
    largest = np.moveaxis(np.broadcast_to(np.array(BOXES + SCORES), (*(s for s in shape if s != 7), 7)), -1, axis)
    parts = output_parts(largest)
    assert parts == tuple(f"[{', '.join([':'] * (axis + 1))}, {ends}]" for ends in (":4", "4:"))
    rows = np.zeros((2, *shape))
    assert sum(read_part(f"y{part}").take(rows).size for part in parts) == rows.size


@pytest.mark.parametrize(
    "largest",
    [np.array(BOXES + SCORES), np.array([[640.0], [1.0]]), np.full((4, 9), np.inf), np.zeros((0, 3)), np.array(3.0)],
    ids=["one axis", "few numbers", "infinite", "empty", "no axis"],
)
def test_what_has_no_parts_is_judged_as_a_whole(largest):
    assert output_parts(largest) == ()
