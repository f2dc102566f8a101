from __future__ import annotations

import pytest

from search.diagnosis.arithmetic import (
    BothWays,
    evaluator_findings,
    exported_findings,
    infeasible_findings,
    interior_findings,
    square_findings,
    warning_findings,
)
from search.evaluation.refusal import Refusal
from search.simulator.program import Warned
from tests.targets.networks import Sketch

OVERFLOW = Refusal(
    node="conv",
    what="accumulator",
    value=2**33,
    low=-(2**31),
    high=2**31 - 1,
    message="conv overflows.",
    nodes=("conv",),
)
SHIFT = Refusal(node="conv", what="q2", value=-12, low=0, high=31, message="q2:-12, range [0, 31]", nodes=("conv",))


def test_trials_that_failed_at_the_same_node_are_one_finding():
    found = list(infeasible_findings([(2, OVERFLOW), (5, OVERFLOW), (6, SHIFT)]))
    assert [one.code for one in found] == ["accumulator-overflow", "shift-out-of-range"]
    assert found[0].evidence["trials"] == [2, 5]
    assert "[0, 31]" in found[1].message


def test_warnings_are_told_by_kind():
    warnings = [Warned("shift-clamped", f"n{i}", f"n{i} clamped") for i in range(5)]
    found = list(warning_findings([*warnings, Warned("bias-coarser", "c", "c coarser")]))
    assert [(one.code, one.severity) for one in found] == [("shift-clamped", "warning"), ("bias-coarser", "note")]
    assert found[0].message == "n0 clamped; n1 clamped; n2 clamped and 2 more."
    assert len(found[0].evidence["nodes"]) == 5


def test_groups_computed_in_float_are_named():
    assert list(interior_findings([])) == []
    assert "lstm" in next(interior_findings(["lstm"])).message


def both(metric: str, integer: float | None, qdq: float | None, *, required: float = 0.0, direction: str = "higher"):
    return BothWays(id=metric, metric=metric, required=required, direction=direction, integer=integer, qdq=qdq)


AGREE = [
    both("top1", 0.75, 0.7475),
    both("cosine", 0.999, 0.9985),
    both("sqnr_db", 31.0, 33.0),
    both("sqnr_db", 70.0, 95.0),
    both("mae", 0.10, 0.11, required=1.0, direction="lower"),
]
PART = [
    both("top1", 0.75, 0.74),
    both("top1", 0.74, 0.75),
    both("cosine", 0.999, 0.99),
    both("sqnr_db", 45.6, 29.7),
    both("sqnr_db", 29.7, 45.6),
    both("sqnr_db", 70.0, 20.0),
    both("l1", 0.10, 0.20, required=1.0, direction="lower"),
    both("onnx:own.onnx", 3.0, 1.0),
    both("rmse", None, 0.2, required=1.0, direction="lower"),
]


@pytest.mark.parametrize("pair", AGREE, ids=lambda one: one.id)
def test_evaluators_that_agree_are_no_finding(pair):
    assert not list(evaluator_findings([pair]))


@pytest.mark.parametrize("pair", PART, ids=lambda one: f"{one.id} {one.integer} {one.qdq}")
def test_evaluators_that_part_are_a_finding_for_every_metric_and_in_both_directions(pair):
    (found,) = evaluator_findings([pair])
    assert (found.code, found.severity) == ("evaluators-differ", "warning")
    assert found.evidence["integer"] == pair.integer
    assert found.evidence["qdq"] == pair.qdq


def test_a_difference_that_decides_is_a_finding_however_small():
    close = both("cosine", 0.9901, 0.9899, required=0.99)
    assert "Only one of them reaches the goal" in next(evaluator_findings([close])).message
    (missed,) = exported_findings([close])
    assert (missed.code, missed.severity) == ("goal-missed", "error")
    assert "0.9901" in missed.message
    assert "0.9899" in missed.message


def test_a_goal_that_the_exported_model_reaches_too_is_not_missed():
    assert not list(exported_findings([both("cosine", 0.995, 0.994, required=0.99)]))


def test_a_square_beyond_binary16_names_the_prescale_that_keeps_it_inside():
    sketch = Sketch()
    x = sketch.input()
    squared = sketch.add("Mul", [x, x], name="square")
    other = sketch.add("Mul", [x, squared], name="product")
    sketch.add("Gemm", [other], name="head", output="y")
    network = sketch.done()
    extremes = [(-1e6, 1e6) for _ in network.tensors]
    (found,) = square_findings(network, extremes)
    exponent = found.evidence["exponent"]
    assert found.evidence["op_name"] == "square"
    assert 1e6 * 4.0**-exponent <= 65504 / 2 < 1e6 * 4.0 ** -(exponent - 1)
    assert list(square_findings(network, [(-100.0, 100.0) for _ in network.tensors])) == []
