"""Layered drawings: every property a reader relies on, on random graphs."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.export.drawing.coordinates import isotonic
from search.export.drawing.draw import draw
from search.export.drawing.layering import BENDS_PER_PART, layered
from search.export.drawing.ordering import crossings, ordered


def random_edges(n, *, seed, reach=8, most=2):
    """A graph like a network's: each node reads a few of those shortly before it."""
    rng = random.Random(seed)
    edges = {(max(0, t - rng.randint(1, reach)), t) for t in range(1, n) for _ in range(rng.randint(1, most))}
    return sorted(edges)


def check(n, edges):
    drawing = draw(n, edges)
    assert all(drawing.rows[source] < drawing.rows[target] for source, target in edges)
    assert all(row >= 0 for row in drawing.rows)
    for a, b in combinations(range(n), 2) if n < 60 else ():
        assert drawing.rows[a] != drawing.rows[b] or abs(drawing.x[a] - drawing.x[b]) >= 0.999
    by_row = {}
    for node in range(n):
        by_row.setdefault(drawing.rows[node], []).append(drawing.x[node])
    for places in by_row.values():
        places.sort()
        assert all(right - left >= 0.999 for left, right in pairwise(places))
    assert all(0.499 <= x <= drawing.width - 0.499 for x in drawing.x)
    for (source, target), bends in zip(edges, drawing.bends, strict=True):
        assert len(bends) in (0, drawing.rows[target] - drawing.rows[source] - 1)
    return drawing


@given(n=st.integers(1, 14), data=st.data())
def test_nodes_do_not_overlap_and_edges_go_down(n, data):
    pairs = [(a, b) for a in range(n) for b in range(a + 1, n)]
    edges = sorted(data.draw(st.sets(st.sampled_from(pairs)))) if pairs else []
    check(n, edges)


@pytest.mark.parametrize(("n", "reach", "most"), [(1500, 8, 2), (1500, 1500, 2), (400, 3, 6), (3000, 40, 2)])
def test_large_random_graphs_keep_the_same_rules(n, reach, most):
    edges = random_edges(n, seed=n, reach=reach, most=most)
    drawing = check(n, edges)
    assert sum(map(len, drawing.bends)) <= BENDS_PER_PART * (n + len(edges))


def test_equal_graphs_give_equal_drawings():
    edges = random_edges(300, seed=5)
    assert draw(300, edges) == draw(300, list(edges))


def test_a_chain_is_a_straight_line():
    drawing = draw(20, [(n, n + 1) for n in range(19)])
    assert drawing.rows == tuple(range(20))
    assert set(drawing.x) == {0.5}
    assert drawing.width == 1.0


def test_a_skip_connection_passes_beside_what_it_skips():
    drawing = draw(5, [(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)])
    bends = drawing.bends[1]
    assert len(bends) == 3
    assert all(abs(bend - drawing.x[node]) >= 0.6 for bend, node in zip(bends, (1, 2, 3), strict=True))


def test_what_reads_nothing_stands_just_above_its_first_reader():
    drawing = draw(5, [(0, 1), (1, 2), (2, 3), (3, 4)])
    assert drawing.rows == (0, 1, 2, 3, 4)
    late = draw(6, [(0, 2), (2, 3), (3, 4), (1, 5), (4, 5)])
    assert late.rows[1] == late.rows[5] - 1


def test_the_sweeps_take_crossings_out():
    """Two bipartite layers drawn in reverse: no crossing is needed."""
    edges = sorted((n, 15 - n) for n in range(8))
    layering = layered(16, edges)
    assert crossings(ordered(layering), layering.segments) == 0


def test_crossings_are_those_a_loop_over_all_pairs_finds():
    rng = random.Random(3)
    for _ in range(40):
        edges = sorted({(rng.randrange(7), 7 + rng.randrange(7)) for _ in range(14)})
        rows = [rng.sample(range(7), 7), rng.sample(range(7, 14), 7)]
        place = {node: position for row in rows for position, node in enumerate(row)}
        expected = sum((place[a] - place[c]) * (place[b] - place[d]) < 0 for (a, b), (c, d) in combinations(edges, 2))
        assert crossings(rows, edges) == expected


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=8))
def test_isotonic_is_the_best_of_all_ordered_sequences_in_blocks(values):
    """The optimum is piecewise constant: try every cut into blocks."""
    n = len(values)

    def cost(found):
        return sum((a - b) ** 2 for a, b in zip(values, found, strict=True))

    best = None
    for cuts in range(1 << (n - 1)):
        blocks, start = [], 0
        for end in range(1, n + 1):
            if end == n or cuts >> (end - 1) & 1:
                blocks += [sum(values[start:end]) / (end - start)] * (end - start)
                start = end
        if all(a <= b + 1e-12 for a, b in pairwise(blocks)):
            best = min(cost(blocks), best) if best is not None else cost(blocks)
    found = isotonic(values, [1.0] * n)
    assert all(a <= b + 1e-9 for a, b in pairwise(found))
    assert cost(found) == pytest.approx(best, abs=1e-6)


def test_an_edge_that_leads_back_is_refused():
    with pytest.raises(ValueError, match=r"Edge 2 -> 1 does not lead to a later one of 3 nodes"):
        draw(3, [(2, 1)])


def test_nothing_is_an_empty_drawing():
    assert draw(0, []).rows == ()
