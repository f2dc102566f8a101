from __future__ import annotations

import pytest

from search.graph.network import OpClass, SlotKind
from search.precision import Format, Precision
from search.targets.target import load_target, target_names


@pytest.mark.parametrize("name", target_names())
def test_the_state_of_a_recurrent_operator_is_read_in_float_on_every_target(name):
    rules = load_target(name, toolchain=None).operator_rules(OpClass.RECURRENT, "LSTM")
    for precision in rules.precisions:
        expected = Format.FP16 if precision is Precision.FP16 else Format.FP32
        assert rules.read(SlotKind.STATE, precision) is expected
