"""Inputs that share one scale: what its format keeps of the smaller one."""

from __future__ import annotations

import pytest

from search.diagnosis.shared_scale import shared_scale_findings
from search.precision import Format
from search.targets.placement import Placement
from tests.targets.networks import Sketch

I8, I16, FLOAT = Format.INT8, Format.INT16, Format.FP32


def joined(op_type: str, small: float, fmt: Format):
    sketch = Sketch()
    a, b = sketch.input("a"), sketch.input("b")
    sketch.add(op_type, [a, b], name="joined", output="y")
    network = sketch.done()
    extremes = [(-640.0, 640.0), (-small, small), (-640.0, 640.0)]
    n = len(network.tensors)
    placement = Placement(stored=(fmt,) * n, read=tuple((fmt,) * len(g.inputs) for g in network.groups), constants=())
    return list(shared_scale_findings(network, extremes, placement))


@pytest.mark.parametrize(
    ("op_type", "small", "fmt", "severity"),
    [
        ("Concat", 1.0, I8, "error"),
        ("Concat", 20.0, I8, "warning"),
        ("Concat", 1.0, I16, None),
        ("Concat", 0.1, I16, "warning"),
        ("Concat", 1.0, FLOAT, None),
        ("Concat", 200.0, I8, None),
        ("Concat", 0.0, I8, None),
        ("Add", 1.0, I8, "warning"),
        ("Add", 20.0, I8, None),
        ("Mul", 1.0, I8, None),
    ],
)
def test_what_is_lost_depends_on_ratio_and_format(op_type, small, fmt, severity):
    assert [one.severity for one in joined(op_type, small, fmt)] == ([] if severity is None else [severity])


def test_the_finding_names_tensors_steps_and_ways_out():
    (found,) = joined("Concat", 1.0, I8)
    assert "'joined'" in found.message
    assert "'b' (to 1) keeps nothing" in found.message
    assert "split the model output" in found.advice
    assert found.evidence["inputs"] == [["b", 1.0, pytest.approx(2 * 127 / 640)]]
