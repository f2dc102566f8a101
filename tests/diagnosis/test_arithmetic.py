from __future__ import annotations

from search.diagnosis.arithmetic import (
    evaluator_findings,
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


def test_evaluators_that_agree_are_no_finding():
    pairs = {"near": (0.75, 0.7475), "apart": (0.75, 0.74), "open": (None, 0.7)}
    assert [one.evidence for one in evaluator_findings(pairs)] == [{"integer": 0.75, "qdq": 0.74}]


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
