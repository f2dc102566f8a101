"""The race of calibration methods: who stays, who wins, and that no sample runs twice."""

import pytest

from search.errors import InvalidDataError
from search.study.comparing import MethodScore, choose_method
from tests.study.memory import MemoryRun, local_problem
from tests.study.small import conv_net, write


def rows(*found):
    """Scores of ``(method, score, samples)``."""
    return [MethodScore(bits=8, method=m, score=s, samples=n, errors={}, failed=s is None) for m, s, n in found]


def test_the_smallest_score_wins_and_ties_go_to_the_one_named_first():
    assert choose_method(rows(("kl", 1.2, 64), ("mse", 1.0, 64)), ["kl", "mse"]) == "mse"
    assert choose_method(rows(("kl", 1.0, 64), ("mse", 1.0, 64)), ["mse", "kl"]) == "mse"


def test_a_method_that_was_dropped_cannot_win():
    assert (
        choose_method(rows(("kl", 1.3, 16), ("mse", 1.4, 64), ("kl_v2", 1.35, 64)), ["kl", "mse", "kl_v2"]) == "kl_v2"
    )


def test_all_failed_names_the_way_out():
    with pytest.raises(InvalidDataError, match=r"calibration\.overrides"):
        choose_method(rows(("kl", None, 16)), ["kl"])


GOAL = [{"metric": "top1", "max_drop": 0.01}]
METHODS = ["kl_v2", "kl", "mse", "percentile", "min_max"]


@pytest.mark.parametrize("methods", [METHODS, ["mse", "min_max"]])
def test_methods_run_on_the_first_samples_and_those_near_the_best_on_the_rest(tmp_path, methods):
    files = write(tmp_path, conv_net(), n=320)
    run = MemoryRun(local_problem(files, goal=GOAL, calibration={"methods": methods}))
    rows = {row.method: row for row in run.run().comparison if row.bits == 8}
    ranges = {method: [] for method in methods}
    compared = [item for item in run.order if item.kind.name == "compare"]
    low = compared[0].work.configuration.effective
    for item in compared:
        if item.work.configuration.effective == low:
            ranges[item.work.configuration.calibration.method_8].append(item.work.range)
    assert rows.keys() == set(methods)
    on = {method for method, found in ranges.items() if found == [(0, 32), (32, 256)]}
    out = {method for method, found in ranges.items() if found == [(0, 32)]}
    assert on | out == set(methods)
    assert all(row.samples == (256 if method in on else 32) for method, row in rows.items())
    assert all(rows[method].score > 1.25 for method in out if on)
    assert len(on) != 1
    chosen = run.document(run.run())["calibration"]["method_8"]
    assert rows[chosen].score == min(rows[method].score for method in on or out) == 1.0


def test_few_samples_are_one_round(tmp_path):
    files = write(tmp_path, conv_net(), n=16)
    run = MemoryRun(local_problem(files, goal=GOAL))
    rows = run.run().comparison
    assert [(row.bits, row.method) for row in rows] == [
        (8, "min_max"),
        (8, "percentile"),
        (8, "kl"),
        (16, "min_max"),
        (16, "percentile"),
    ]
    assert [row.samples for row in rows] == [16] * 5
    assert sum(item.kind.name == "compare" for item in run.order) == 5
