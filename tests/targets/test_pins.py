from __future__ import annotations

import pytest

from search.assignment import Assignment
from search.errors import PinConflictError, UsageError
from search.graph.network import Network
from search.precision import Precision
from search.spec.job import Pin as SpecPin
from search.targets.legalise import legalise, uniform
from search.targets.module_path import dotted
from search.targets.pins import Pin, resolve_pins, select
from search.targets.target import load_target
from tests.targets.networks import Sketch

P = Precision
J6M, J6M32 = load_target("j6m", toolchain="3.0.17"), load_target("j6m", toolchain="3.2.0")
J6P = load_target("j6p", toolchain=None)


def scoped() -> Network:
    sketch = Sketch()
    stem = sketch.add("Conv", [sketch.input()], name="/stem/conv/Conv")
    pooled = sketch.add("MaxPool", [stem], name="/stem/pool/MaxPool")
    one = sketch.add("Conv", [stem], name="/head/layers.0/Conv")
    two = sketch.add("Sigmoid", [one], name="/head/layers.1/act/Sigmoid")
    sketch.add("Conv", [two], name="/head/out/Conv", output="y")
    sketch.add("Conv", [pooled], name="Conv_7", output="z")
    return sketch.done()


NETWORK = scoped()
STEM, POOL, FIRST, ACT, OUT, ASIDE = range(6)


@pytest.mark.parametrize(
    ("match", "groups"),
    [
        ("/head/layers.0/Conv", (FIRST,)),
        ("/head/*", (FIRST, ACT, OUT)),
        ("head.*", (FIRST, ACT, OUT)),
        ("head", (FIRST, ACT, OUT)),
        ("head.layers", (FIRST, ACT)),
        ("head.layer", ()),
        ("head.layers.0", (FIRST,)),
        ("head.layers.1", (ACT,)),
        ("head.layers.*", (FIRST, ACT)),
        ("*.out.*", (OUT,)),
        ("Conv", (STEM, FIRST, OUT, ASIDE)),
        ("type:Conv", (STEM, FIRST, OUT, ASIDE)),
        ("type:*Pool", (POOL,)),
        ("Conv_7", (ASIDE,)),
        ("Conv_*", (ASIDE,)),
    ],
)
def test_a_match_is_a_node_name_a_glob_an_operator_type_or_a_scope(match, groups):
    pin = Pin(match=match, exactly="int8")
    if groups:
        assert select(NETWORK, pin) == groups
    else:
        with pytest.raises(UsageError, match="names no group"):
            select(NETWORK, pin)


def test_a_name_that_is_also_an_operator_type_means_the_node():
    sketch = Sketch()
    a = sketch.add("Conv", [sketch.input()], name="Conv")
    sketch.add("Conv", [a], name="other", output="y")
    assert select(sketch.done(), Pin(match="Conv", exactly="int8")) == (0,)
    assert select(sketch.done(), Pin(match="type:Conv", exactly="int8")) == (0, 1)


def test_selectors_given_together_must_all_hold():
    assert select(NETWORK, Pin(op_type="Conv", scope="head", exactly="int8")) == (FIRST, OUT)
    assert select(NETWORK, Pin(op_type="Conv", exactly="int8")) == (STEM, FIRST, OUT, ASIDE)


def test_a_container_that_repeats_its_name_counts_once():
    assert dotted("/blocks/blocks.0/conv/Conv") == "blocks.0.conv.Conv"
    assert dotted("Conv_7") == "Conv_7"


def test_pins_of_the_job_spec_are_understood():
    pin = SpecPin(match="head.*", at_least="int16", freeze=True)
    table = resolve_pins(NETWORK, J6M, [pin])
    assert table.is_frozen(FIRST)
    assert table.pins[FIRST] == (pin,)
    assert OUT in table.pins
    assert STEM not in table.pins


def test_a_pin_that_matches_nothing_names_what_is_close():
    with pytest.raises(UsageError, match=r"names no group \(did you mean 'Conv_7'\?\)"):
        resolve_pins(NETWORK, J6M, [Pin(match="Conv_8", exactly="int8")])
    with pytest.raises(UsageError, match=r"did you mean 'MaxPool'\?.*Operator types here: Conv, MaxPool, Sigmoid"):
        resolve_pins(NETWORK, J6M, [Pin(match="type:Maxpol", exactly="int8")])


def allowed(target, pin: Pin, group: int) -> set[str]:
    return {p.value for p in resolve_pins(NETWORK, target, [pin]).allowed[group]}


def test_a_format_given_to_a_gemm_means_its_input_side():
    assert allowed(J6M32, Pin(match="head.*", at_least="int16"), FIRST) == {"a16w8", "a16w16", "fp16"}
    assert allowed(J6M32, Pin(match="head.*", at_least="int16"), ACT) == {"int16", "fp16"}
    assert allowed(J6M32, Pin(match="head.*", at_most="int16"), FIRST) == {"a8w8", "a16w8", "a8w16", "a16w16"}
    assert allowed(J6M32, Pin(match="head.*", at_most="int8"), FIRST) == {"a8w8"}
    assert allowed(J6M32, Pin(match="head.*", exactly="int16"), FIRST) == {"a16w8"}
    assert allowed(J6M32, Pin(match="head.*", at_least="a16w16"), FIRST) == {"a16w16", "fp16"}
    assert allowed(J6M32, Pin(match="head.*", at_least="int16", at_most="int16"), ACT) == {"int16"}
    assert allowed(J6M32, Pin(match="head.*", exactly="a16w8"), ACT) == {"int16"}


def test_freeze_alone_fixes_what_all_low_gives():
    assert allowed(J6M, Pin(match="head.*", freeze=True), FIRST) == {"a8w8"}
    assert allowed(J6P, Pin(match="head.*", freeze=True), ACT) == {"fp16"}


@pytest.mark.parametrize(
    ("target", "pin", "rule"),
    [
        (J6M, Pin(match="type:MaxPool", at_least="int16"), "silent-int8-max-pool"),
        (J6M, Pin(match="/head/layers.0/Conv", exactly="a16w16"), "dual-int16"),
        (J6M32, Pin(match="/head/out/Conv", exactly="a16w16"), "high-precision-output"),
        (J6M, Pin(match="Conv_7", exactly="a16w8"), "int8-only-input"),
        (J6P, Pin(match="head.layers.0", exactly="fp16"), "gemm-pairs"),
        (load_target("tx5105c", toolchain=None), Pin(match="Conv", at_least="int16"), "gemm-8-bit"),
    ],
)
def test_a_pin_against_a_chip_rule_is_an_error_that_names_the_rule(target, pin, rule):
    with pytest.raises(PinConflictError, match=rf"Pin \{{match: .*on {target.name}: .*\[{rule}, .*Allowed there: "):
        resolve_pins(NETWORK, target, [pin])


def test_the_output_precision_decides_with():
    pin = Pin(match="/head/out/Conv", exactly="a16w16")
    table = resolve_pins(NETWORK, J6M32, [pin], output_precision={"y": "int16"})
    assert table.allowed[OUT] == (P.A16W16,)
    request = uniform(NETWORK, J6M32, "low")
    assert legalise(NETWORK, J6M32, request, pins=table).effective[OUT] is P.A16W16


def test_pins_that_contradict_each_other_are_an_error_that_names_both():
    pins = [Pin(match="head.*", at_least="int16"), Pin(match="Conv", exactly="int8")]
    with pytest.raises(PinConflictError, match=r"'/head/layers.0/Conv': \{match: Conv, exactly: int8\} and .*head\.\*"):
        resolve_pins(NETWORK, J6M, pins)


def test_pins_that_overlap_narrow_together():
    pins = [Pin(match="head.*", at_least="int16"), Pin(match="head.*", at_most="a16w8")]
    assert resolve_pins(NETWORK, J6M32, pins).allowed[FIRST] == (P.A16W8,)


def test_the_legaliser_moves_requests_into_the_pins_and_says_so():
    table = resolve_pins(NETWORK, J6M, [Pin(match="head.*", at_least="int16", freeze=True)])
    low = legalise(NETWORK, J6M, uniform(NETWORK, J6M, "low"), pins=table)
    assert [p.value for p in low.effective.precisions] == ["a8w8", "int8", "a16w8", "int16", "a16w8", "a8w8"]
    assert low.reasons[FIRST] == "pinned by {match: head.*, at_least: int16, freeze}"
    assert set(low.reasons) == {FIRST, ACT, OUT}
    assert legalise(NETWORK, J6M, low.effective, pins=table).effective == low.effective


def test_a_reason_names_the_rule_and_the_pin_where_both_moved_the_request():
    table = resolve_pins(NETWORK, J6M, [Pin(match="/head/layers.0/Conv", at_most="a8w16")])
    asked = Assignment((P.A8W8, P.INT8, P.A16W16, P.INT8, P.A16W16, P.A8W8))
    legal = legalise(NETWORK, J6M, asked, pins=table)
    assert legal.effective[FIRST] is P.A8W16
    assert "[dual-int16, C]" in legal.reasons[FIRST]
    assert "pinned by" in legal.reasons[FIRST]
    assert "pinned" not in legal.reasons[OUT]


def test_without_pins_the_table_holds_every_legal_choice():
    table = resolve_pins(NETWORK, J6M, [])
    assert table.allowed == tuple(entry.choices for entry in table.book.allowed)
    assert not table.reasons
