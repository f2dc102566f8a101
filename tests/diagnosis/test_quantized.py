"""Compute that is not quantized: shares, findings, and what cannot be told from what was not chosen."""

from __future__ import annotations

import numpy as np
import pytest

from search.assignment import Assignment
from search.diagnosis.quantized import quantized_findings, quantized_record
from search.graph.network import Group, Network, OpClass
from search.precision import Precision

INT = (Precision.A8W8, Precision.FP32)
FLOAT = (Precision.FP32,)


def network(*groups: tuple[str, OpClass, int, int]) -> Network:
    made = tuple(
        Group(f"{op_type}{i}", op_type, op_class, (f"{op_type}{i}",), (), (), macs, elements)
        for i, (op_type, op_class, macs, elements) in enumerate(groups)
    )
    return Network(made, (), (), ())


CONV = ("Conv", OpClass.GEMM, 900, 10)
EINSUM = ("Einsum", OpClass.FLOAT, 100, 10)
BODY = ("If", OpClass.FLOAT, 3000, 10)


def test_shares_count_multiply_accumulates_and_those_inside_subgraphs():
    record = quantized_record(network(CONV, EINSUM, BODY), (INT, FLOAT, FLOAT))
    assert record is not None
    assert record.share == record.possible == pytest.approx(900 / 4000)
    assert (record.in_subgraphs, record.unit) == (pytest.approx(3000 / 4000), "macs")


def test_values_count_by_their_number():
    writers = [("a", Precision.A8W8, 1), ("b", Precision.FP32, 2), ("c", Precision.INT8, 1)]
    groups = tuple(Group(name, "Conv", OpClass.GEMM, (name,), (), tuple(range(n)), 100, 10) for name, _, n in writers)
    delivered = Assignment(tuple(precision for _, precision, _ in writers))
    record = quantized_record(Network(groups, (), (), ()), (INT, INT, INT), delivered)
    assert record is not None
    assert (record.tensors, record.share) == (0.5, pytest.approx(2 / 3))
    nothing = quantized_record(network(CONV), (INT,))
    assert nothing is not None
    assert nothing.tensors is None


def test_output_elements_count_where_nothing_multiplies():
    net = network(
        ("Relu", OpClass.ACTIVATION, 0, 30), ("Det", OpClass.FLOAT, 0, 10), ("Concat", OpClass.MOVEMENT, 0, 99)
    )
    record = quantized_record(net, ((Precision.INT8,), FLOAT, (Precision.INT8,)))
    assert record is not None
    assert (record.share, record.unit) == (0.75, "elements")
    assert quantized_record(network(("Concat", OpClass.MOVEMENT, 0, 99)), ((Precision.INT8,),)) is None


@pytest.mark.parametrize(
    ("choices", "delivered", "code", "severity"),
    [
        ((INT, FLOAT), (Precision.A8W8, Precision.FP32), None, None),
        ((INT, FLOAT), (Precision.FP32, Precision.FP32), "float-chosen", "warning"),
        ((FLOAT, FLOAT), (Precision.FP32, Precision.FP32), "mostly-float", "error"),
    ],
)
def test_what_cannot_be_quantized_is_an_error_and_what_was_not_chosen_a_warning(choices, delivered, code, severity):
    net = network(CONV, EINSUM)
    record = quantized_record(net, choices, Assignment(delivered))
    found = list(quantized_findings(net, choices, record))
    assert [(one.code, one.severity) for one in found] == ([] if code is None else [(code, severity)])


def test_allow_float_turns_the_error_into_a_warning_and_names_what_stays():
    net, choices = network(CONV, EINSUM, BODY), (FLOAT, FLOAT, FLOAT)
    record = quantized_record(net, choices, is_float_allowed=True)
    assert record is not None
    assert not record.is_nothing
    (one,) = quantized_findings(net, choices, record)
    assert one.severity == "warning"
    assert "Conv (1), Einsum (1), If (1)" in one.message
    assert "75.0% of the compute is in subgraphs" in one.message


@pytest.mark.parametrize("seed", range(5))
def test_shares_lie_between_nothing_and_everything(seed):
    rng = np.random.default_rng(seed)
    picks = [(CONV, EINSUM, BODY)[i] for i in rng.integers(3, size=8)]
    choices = [INT if op_class is OpClass.GEMM else FLOAT for _, op_class, _, _ in picks]
    record = quantized_record(network(*picks), choices)
    assert record is not None
    assert 0 <= record.share <= record.possible <= 1
    assert record.possible + record.in_subgraphs <= 1 + 1e-12
