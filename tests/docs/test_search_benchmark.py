"""The benchmark of the search: its networks leave something to decide, its peers search, its figures are right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.search import by_method, paired_noise, report, small_row
from benchmarks.search_lab import Lab
from benchmarks.search_nets import goal, kinds, write
from benchmarks.search_summary import METHODS, Shared, Small, summary

SMALL = Small(
    name="net",
    target="j6m",
    diffuse=True,
    drop=0.01,
    n_assignments=100,
    tried=10,
    optimum=1.2,
    noise=0.002,
    costs=dict.fromkeys(METHODS, 1.2) | {"ladder": 1.5, "random": None},
    evaluations=dict.fromkeys(METHODS, 4),
)
SHARED = Shared(case="case", drop=0.01, method="auto", cost=1.1, evaluations=3, equivalents=1.5, seconds=2.0, fe=0.5)


def measured(rows, what: str) -> str:
    return next(found for name, _, found, _ in rows if name == what)


def test_there_are_twenty_networks_and_five_diffuse_ones():
    every = list(kinds())
    assert len(every) >= 20
    assert len({kind.name for kind in every}) == len(every)
    assert sum(kind.is_diffuse for kind in every) >= 5


def test_gaps_are_relative_to_the_optimum():
    rows = summary([SMALL, replace(SMALL, noise=0.006)], [], [])
    assert measured(rows, "networks; diffuse ones; goals above two sd") == "2; 2; 1"
    assert measured(rows, "cost above the optimum: ladder") == "mean 25.0 %; within 2 % on 0 of 1 clear goals; missed 0"
    assert measured(rows, "cost above the optimum: auto") == "mean 0.0 %; within 2 % on 1 of 1 clear goals; missed 0"
    assert measured(rows, "cost above the optimum: random").endswith("within 2 % on 0 of 1 clear goals; missed 2")


def test_auto_is_compared_with_the_ladder_by_excess_cost_and_work():
    ladder = replace(SHARED, method="ladder", cost=1.4, seconds=5.0)
    rows = summary([], [SHARED, ladder], [replace(SHARED, seconds=6.0)])
    assert measured(rows, "cost of auto - cost of ladder") == "worst -0.300 over 1 goals"
    assert measured(rows, "excess cost saved, ladder > 2 % above the best known") == "75.0 % (1)"
    assert measured(rows, "FE of auto over FE of ladder, same goals") == "mean 0.40, worst 0.40 (1)"
    assert measured(rows, "FE of auto, float evaluation >= 0.15 s, labels") == "mean 4.0, worst 4.0 (1)"
    assert measured(rows, "FE of auto, integer arithmetic, long cases") == "mean 12.0, worst 12.0 (1)"


def test_every_goal_has_a_verdict():
    rows = summary([SMALL], [SHARED, replace(SHARED, method="ladder", cost=1.4)], [SHARED])
    verdicts = {name: said for name, wanted, _, said in rows if wanted}
    assert all(verdicts.values())
    assert verdicts["networks; diffuse ones; goals above two sd"] == "**missed**"
    assert verdicts["cost above the optimum: auto"] == "met"
    worse = {row[0]: row[3] for row in summary([], [replace(SHARED, seconds=9.0)], [])}
    assert worse["FE of auto, float evaluation >= 0.15 s, labels"] == "**missed**"
    assert worse["full-set equivalents of auto"] == "met"


def test_the_page_has_a_row_per_network_and_search():
    text = report([SMALL], [SHARED], [SHARED], head="today")
    assert "| net | j6m | 1.00 | 100 | 10 | 1.200 | 0.0 % / 4 | 25.0 % / 4 |" in text
    assert text.count("| case | 1.0 | auto | 1.100 | 3 | 1.5 | 4.0 | 2.00 | 0.500 |") == 2


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    kind = next(one for one in kinds() if one.name == "planted 0")
    return Lab(write(kind, tmp_path_factory.mktemp("net")))


@pytest.mark.parametrize("method", ["random", "ort helper"])
def test_peers_search_the_same_case(lab, method):
    ladder = by_method(lab, "ladder", goal(0.08))
    found = by_method(lab, method, goal(0.08))
    assert found.cost is not None
    assert found.session.setting.cost.all_low_cost == ladder.session.setting.cost.all_low_cost
    assert 1 < found.cost <= found.session.trials[1].cost
    assert found.seconds > 0
    assert 0 < paired_noise(found) < 0.05


def test_a_search_is_charged_for_what_another_one_computed(lab):
    first = by_method(lab, "ladder", goal(0.08))
    n = len(lab.results)
    again = by_method(lab, "ladder", goal(0.08))
    assert len(lab.results) == n
    assert again.seconds == pytest.approx(first.seconds, rel=0.8)
    assert [t.configuration for t in again.session.trials] == [t.configuration for t in first.session.trials]


@pytest.mark.slow
def test_a_network_of_the_benchmark_is_searched_by_every_method():
    row = small_row(next(one for one in kinds() if one.name == "planted 4"))
    assert row is not None
    assert set(row.costs) == set(METHODS)
    assert row.optimum >= 1
