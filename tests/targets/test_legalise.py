from __future__ import annotations

import pytest

from search.assignment import Assignment
from search.errors import UsageError
from search.graph.network import Network, OpClass
from search.precision import Precision
from search.targets.legalise import choices, legalise, uniform
from search.targets.nearest import nearest
from search.targets.target import load_target
from tests.targets.networks import Sketch

P = Precision
J6M, J6M32, J6M35 = (load_target("j6m", toolchain=v, route="plugin") for v in ("3.0.17", "3.2.0", "3.5.0"))
J6P, ORT = load_target("j6p", toolchain=None), load_target("ort-cpu", toolchain=None)


def single(op_type: str, *, output: str = "", kinds: str = "", op_class: OpClass | None = None) -> Network:
    """One group, and a Conv behind it unless it is the output."""
    sketch = Sketch()
    reads = [sketch.input(f"x{i}") for i in range(max(1, len(kinds)))]
    value = sketch.add(op_type, reads, kinds=kinds, output=output, op_class=op_class)
    if not output:
        sketch.add("Conv", [value], output="y")
    return sketch.done()


def outcome(target, network: Network, asked: Precision, **more) -> tuple[Precision, str]:
    rest = [P.A8W8 if group.is_gemm else P.INT8 for group in network.groups[1:]]
    legal = legalise(network, target, Assignment((asked, *rest)), **more)
    return legal.effective[0], legal.reasons.get(0, "")


def test_a_legal_request_stays_and_has_no_reason():
    assert outcome(J6M, single("Conv"), P.A8W16) == (P.A8W16, "")
    assert outcome(J6M, single("Sigmoid"), P.FP16) == (P.FP16, "")


def test_dual_int16_falls_to_the_more_sensitive_side_before_3_2():
    got, reason = outcome(J6M, single("Conv"), P.A16W16)
    assert got is P.A16W8
    assert reason == (
        "a16w16 needs a tool-chain from 3.2.0, this is 3.0.17: 16 bit on both sides of a gemm needs a newer tool-chain "
        "[dual-int16, C]"
    )
    assert outcome(J6M, single("Conv"), P.A16W16, sides={0: "weight"})[0] is P.A8W16
    assert outcome(J6M, single("Conv"), P.A16W16, sides=["weight", "activation"])[0] is P.A8W16
    assert outcome(J6M32, single("Conv"), P.A16W16) == (P.A16W16, "")


def test_dual_int16_is_not_combined_with_high_precision_output():
    network = single("Conv", output="y")
    got, reason = outcome(J6M32, network, P.A16W16, sides={0: "weight"})
    assert got is P.A8W16
    assert "high-precision output" in reason
    assert outcome(J6M32, network, P.A16W16, output_precision={"y": "int16"}) == (P.A16W16, "")
    assert outcome(J6P, network, P.A16W16) == (P.A16W16, "")


def test_fp16_of_a_gemm_becomes_the_highest_integer_on_j6p():
    got, reason = outcome(J6P, single("Conv"), P.FP16)
    assert got is P.A16W16
    assert "never fp16" in reason


@pytest.mark.parametrize("op_type", ["MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "GridSample"])
def test_silent_fall_backs_to_int8_hold_below_3_5_only(op_type):
    network = single(op_type, kinds="fg" if op_type == "GridSample" else "")
    got, reason = outcome(J6M32, network, P.INT16)
    assert got is P.INT8
    assert "silently" in reason
    assert "C-old" in reason
    assert outcome(J6M35, network, P.INT16) == (P.INT16, "")
    assert outcome(J6M35, network, P.FP16)[0] is P.INT16
    assert outcome(J6P, network, P.FP16) == (P.FP16, "")


def test_reduce_mean_is_not_a_pooling_unit():
    assert outcome(J6M, single("ReduceMean"), P.INT16) == (P.INT16, "")


def test_operators_that_stay_float_say_so():
    got, reason = outcome(J6M, single("TopK"), P.INT8)
    assert got is P.FP32
    assert "stays float" in reason


def test_rules_of_an_operator_do_not_reach_groups_that_stay_float():
    assert choices(single("Resize", op_class=OpClass.FLOAT), J6M)[0] == (P.FP32,)


def test_the_other_vocabulary_is_understood():
    assert outcome(J6M, single("Conv"), P.INT16)[0] is P.A16W8
    assert outcome(J6M, single("Conv"), P.INT8)[0] is P.A8W8
    got, reason = outcome(J6M, single("Sigmoid"), P.A16W8)
    assert got is P.INT16
    assert "not a precision of this kind of group" in reason


@pytest.mark.parametrize("target", [J6M, J6P])
def test_groups_between_a_grid_and_the_gemm_before_it_are_int16(target):
    sketch = Sketch()
    image = sketch.input("image")
    theta = sketch.add("Conv", [image], name="theta")
    first = sketch.add("Tanh", [theta], name="squash")
    grid = sketch.add("Add", [first, first], name="shift")
    sketch.add("Sigmoid", [first], name="aside", output="a")
    warped = sketch.add("GridSample", [image, grid], kinds="fg", name="warp")
    sketch.add("Conv", [warped], output="y")
    network = sketch.done()
    legal = legalise(network, target, uniform(network, target, "low"))
    by_name = {group.name: legal.effective[g] for g, group in enumerate(network.groups)}
    assert (by_name["squash"], by_name["shift"]) == (P.INT16, P.INT16)
    assert by_name["theta"] is P.A8W8
    assert by_name["aside"] is target.all_low_other
    assert all("coordinates" in legal.reasons[g] for g in (1, 2))


def test_sixteen_bit_inputs_are_refused_where_only_int8_can_arrive():
    sketch = Sketch()
    pooled = sketch.add("MaxPool", [sketch.input()])
    sketch.add("Conv", [pooled], output="y")
    sketch.add("Conv", [sketch.add("AveragePool", [pooled])], output="z")
    network = sketch.done()
    legal = legalise(network, J6M, uniform(network, J6M, "high"))
    assert legal.effective.precisions == (P.INT8, P.A8W8, P.INT8, P.A16W8)
    assert "can only be written in int8" in legal.reasons[1]
    assert legalise(network, J6M35, uniform(network, J6M35, "high")).effective[1] is P.A16W8
    assert P.A8W16 in choices(network, J6M)[1]
    assert P.FP16 in choices(network, J6M)[1]


def test_the_second_input_of_a_matmul_falls_to_int8_where_only_int8_can_arrive():
    sketch = Sketch()
    x = sketch.input()
    sketch.add("MatMul", [x, sketch.add("MaxPool", [x])], kinds="ab", output="y")
    assert choices(sketch.done(), J6M)[1] == (P.A8W8, P.A16W8, P.FP16)


def test_choices_come_cheapest_first():
    network = single("Conv")
    assert choices(network, J6M32)[0][0] is P.A8W8
    assert choices(network, J6M32)[0][-1] is P.FP16
    sigmoid = choices(single("Sigmoid"), J6P)[0]
    assert sigmoid == (P.INT8, P.INT16, P.FP16, P.FP32)


def test_a_request_of_another_length_is_our_mistake():
    with pytest.raises(ValueError, match="1 precisions for 2 groups"):
        legalise(single("Conv"), J6M, Assignment((P.A8W8,)))


def test_unknown_outputs_and_output_precisions_are_refused():
    network = single("Conv", output="logits")
    with pytest.raises(UsageError, match=r"outputs.logit: the model has no such output \(did you mean 'logits'\?\)"):
        choices(network, J6M, output_precision={"logit": "high"})
    with pytest.raises(UsageError, match=r"outputs.logits.precision is 'int4'.*high, int8, int16"):
        choices(network, J6M, output_precision={"logits": "int4"})


@pytest.mark.parametrize(
    ("wish", "possible", "side", "got"),
    [
        (P.A16W16, (P.A8W8, P.A16W8, P.A8W16), "activation", P.A16W8),
        (P.A16W16, (P.A8W8, P.A16W8, P.A8W16), "weight", P.A8W16),
        (P.A8W8, (P.A16W16, P.A16W8), "activation", P.A16W8),
        (P.A16W8, (P.A8W16,), "activation", P.A8W16),
        (P.A16W8, (P.FP16, P.FP32), "activation", P.FP16),
        (P.FP16, (P.A8W8, P.A16W8, P.FP32), "activation", P.FP32),
        (P.FP32, (P.INT8, P.INT16, P.FP16), "activation", P.FP16),
        (P.FP16, (P.INT8, P.INT16), "activation", P.INT16),
        (P.INT16, (P.INT8, P.FP16), "activation", P.INT8),
    ],
)
def test_the_nearest_precision(wish, possible, side, got):
    assert nearest(wish, possible, side=side) is got
