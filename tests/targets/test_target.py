from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.errors import UsageError
from search.graph.operators import CLASSES
from search.precision import Format, Precision
from search.quant.grid import ScaleRule
from search.targets.target import Target, load_target, target_names

QNN_LIKE = Path(__file__).parent / "qnn_like.toml"


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_the_built_in_targets_are_these():
    assert target_names() == ("j6e", "j6h", "j6m", "j6p", "ort-cpu", "tx5105c")


@pytest.mark.parametrize("name", target_names())
def test_every_rule_and_coefficient_says_how_certain_it_is_and_where_it_comes_from(name):
    target = load_target(name, toolchain=None)
    assert all(rule.certainty and rule.source for rule in target.rules)
    assert all(rule.reason.endswith(f"[{rule.id}, {rule.certainty}]") for rule in target.rules)
    assert len({rule.id for rule in target.rules}) == len(target.rules)
    assert {target.activation_rule, target.weight_rule} <= {rule.value for rule in ScaleRule}


@pytest.mark.parametrize("name", target_names())
def test_a_target_travels_as_json(name):
    target = load_target(name, toolchain=None)
    again = Target.from_json(target.to_json())
    assert again == target
    assert again.digest == target.digest


def test_the_uniform_requests_depend_on_the_toolchain():
    assert load_target("j6m", toolchain=None).toolchain == "3.9.1"
    assert load_target("j6m", toolchain="3.0.17").all_high_gemm is Precision.A16W8
    assert load_target("j6e", toolchain="3.2").all_high_gemm is Precision.A16W16
    assert load_target("j6m", toolchain="3.10.1").all_high_gemm is Precision.A16W16
    low = load_target("j6p", toolchain=None)
    assert (low.all_low_gemm, low.all_low_other) == (Precision.A8W8, Precision.FP16)
    assert load_target("ort-cpu", toolchain=None).toolchain is None
    assert load_target("ort-cpu", toolchain=None).all_high_other is Precision.FP32


def test_digests_tell_targets_and_toolchains_apart():
    digests = {load_target(name, toolchain=None).digest for name in target_names()}
    assert len(digests) == len(target_names())
    assert load_target("j6m", toolchain="3.0.17").digest != load_target("j6m", toolchain="3.5.0").digest


def test_arithmetic_is_read():
    tx, j6m = load_target("tx5105c", toolchain=None), load_target("j6m", toolchain=None)
    assert (tx.arithmetic.shift_min, tx.arithmetic.shift_max) == (0, 31)
    assert (j6m.arithmetic.shift_max, j6m.arithmetic.multiplier_bits) == (47, 15)
    assert (tx.arithmetic.preload_left_shift, j6m.arithmetic.preload_left_shift) == (0, 16)
    assert (j6m.arithmetic.acc_bits[Precision.A16W16], j6m.arithmetic.acc_bits[Precision.A8W16]) == (48, 32)


def test_fixed_output_scales_are_per_operator_and_format():
    target = load_target(str(QNN_LIKE), toolchain=None)
    assert target.fixed_output("Sigmoid", Format.INT16) == (1 / 65536, 0)
    assert target.fixed_output("Tanh", Format.INT16) == (1 / 32768, 32768)
    assert target.fixed_output("Tanh", Format.INT8) is None
    assert target.fixed_output("Relu", Format.INT16) is None
    assert target.all_low_gemm is Precision.A8W8


@given(st.floats(0, 2.0**60))
def test_the_grid_threshold_is_the_smallest_power_of_two_that_covers_the_range(absmax):
    rule = load_target("j6m", toolchain=None).grid_rule
    assert rule is not None
    threshold = Fraction(rule.threshold(absmax))
    assert threshold >= max(Fraction(1), Fraction(absmax))
    assert threshold.numerator & (threshold.numerator - 1) == 0
    assert threshold.denominator == 1
    assert threshold == 1 or threshold / 2 < Fraction(absmax)


def test_a_grid_without_a_finite_range_is_refused():
    rule = load_target("j6p", toolchain=None).grid_rule
    assert rule is not None
    with pytest.raises(ValueError, match="got inf"):
        rule.threshold(float("inf"))
    assert load_target("ort-cpu", toolchain=None).grid_rule is None


def test_unknown_targets_are_named_with_the_closest_and_all_known():
    with pytest.raises(UsageError, match=r"Unknown target 'j6mm' \(did you mean 'j6m'\?\)\. Known: j6e, .*tx5105c"):
        load_target("j6mm", toolchain=None)


@pytest.mark.parametrize("name", ["../j6m", "/etc/passwd", "", ".", "nowhere.toml"])
def test_paths_that_are_no_target_files_are_refused(name):
    with pytest.raises(UsageError, match="Unknown target"):
        load_target(name, toolchain=None)


def test_a_bad_toolchain_is_refused():
    with pytest.raises(UsageError, match=r"key 'toolchain'.*'latest' is not numbers joined by dots"):
        load_target("j6m", toolchain="latest")


def test_a_users_file_extends_a_target_and_overrides_single_keys(tmp_path):
    path = write(
        tmp_path,
        """
        extends = "j6m"
        name = "mine"
        [cost.bytes_per_s]
        value = 1e9
        source = "measured"
        certainty = "U"
        [[rule]]
        id = "silent-int8-max-pool"
        enabled = false
        [[rule]]
        id = "no-exp"
        applies_to = ["Exp"]
        precisions = ["fp16"]
        writes = { fp16 = ["fp16"] }
        certainty = "U"
        source = "our board"
        """,
    )
    mine, base = load_target(path, toolchain=None), load_target("j6m", toolchain=None)
    assert (mine.name, mine.march) == ("mine", "nash-m")
    assert mine.cost.bytes_per_s.value == 1e9
    assert mine.cost.bytes_per_s.source == "measured"
    assert mine.cost.peak_macs_per_s == base.cost.peak_macs_per_s
    assert [rule.id for rule in mine.rules] == [*(rule.id for rule in base.rules), "no-exp"]
    assert not next(rule for rule in mine.rules if rule.id == "silent-int8-max-pool").enabled


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not valid TOML"),
        ('extends = "j6m"\nnmae = "x"', "key 'nmae'"),
        ('extends = "j6m"\nname = 3', "key 'name'"),
        ('extends = "j6x"', r"Unknown target 'j6x' \(did you mean"),
        ("extends = 3", "key 'extends' must be a text"),
        ('extends = "mine.toml"', "extends itself"),
        ('name = "x"', "key 'schema'"),
        ('extends = "j6m"\n[cost.utilization]\nvalue = -1', "key 'cost.utilization.value'"),
        ('extends = "j6m"\n[cost.utilization]\nvalue = nan', "key 'cost.utilization.value'"),
        ('extends = "j6m"\n[[rule]]\nid = "x"\napplies_to = ["gemm"]\nsource = "?"', r"key 'rule\.\d+\.certainty'"),
        (
            'extends = "j6m"\n[[rule]]\nid = "x"\napplies_to=["Exp"]\nprecisions=["fp32"]\ncertainty="U"\nsource=""',
            "nothing says what class 'lut', operator 'Exp' writes at fp32",
        ),
        (
            'extends = "j6m"\n[[rule]]\nid = "x"\napplies_to = ["Exp"]\nprecisions = []\ncertainty = "U"\nsource = "?"',
            "no precision is allowed for class 'lut', operator 'Exp'",
        ),
        (
            'extends = "tx5105c"\n[[rule]]\nid = "gemm-8-bit"\nprecisions = ["int8"]',
            "no precision is allowed for class 'gemm'",
        ),
        (
            'extends = "j6m"\n[[request]]\nlevel = "low"\ngemm = "a8w8"\nother = "int8"\ncertainty = "U"\nsource = "?"',
            "none with level = 'high'",
        ),
        (
            'extends = "tx5105c"\n[[rule]]\nid = "gemm-8-bit"\nprecisions = ["a16w8"]\nwrites = { integer = ["int8"] }',
            r"key 'cost\.relative_rate\.a16w8' is missing",
        ),
    ],
)
def test_a_bad_file_is_refused_naming_the_key(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        load_target(write(tmp_path, text), toolchain=None)


def test_a_file_of_another_encoding_or_size_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_target(str(path), toolchain=None)
    path.write_bytes(b"#" * (1 << 21))
    with pytest.raises(UsageError, match="larger than"):
        load_target(str(path), toolchain=None)


def test_the_example_of_the_documentation_is_a_valid_target(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "targets.md").read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    target = load_target(write(tmp_path, example), toolchain="3.2.0")
    assert target.name == "my-board"
    assert target.operator_rules(CLASSES["Exp"], "Exp").precisions == (Precision.FP16,)
    assert load_target(write(tmp_path, example), toolchain="3.1").operator_rules(CLASSES["Exp"], "Exp").precisions != (
        Precision.FP16,
    )
    for name in target_names():
        assert f"`{name}`" in text
