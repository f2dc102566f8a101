from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.errors import PinConflictError, UsageError
from search.export.overrides_input import overrides_of
from search.precision import Format
from search.targets.target import Target, load_target
from search.work.override_pins import Place, Stated, translate
from tests.service.command import result_of, search
from tests.study.small import write
from tests.targets.networks import Sketch

J6M, J6P, ORT = (load_target(name, toolchain=None) for name in ("j6m", "j6p", "ort-cpu"))
RANK = {"a8w8": (0, 0), "a16w8": (1, 0), "a8w16": (0, 1), "a16w16": (1, 1), "int8": (0, 0), "int16": (1, 1)}


def net():
    sketch = Sketch()
    one = sketch.add("Conv", [sketch.input()], name="conv")
    two = sketch.add("Sigmoid", [one], name="act")
    sketch.add("Gemm", [two], name="left", output="y0")
    sketch.add("Gemm", [two], name="right", output="y1")
    sketch.add("Softmax", [two], name="soft", output="y2")
    return sketch.done()


NETWORK = net()
PLACES = {
    "conv_out": Place(NETWORK.groups[0].outputs[0]),
    "act_out": Place(NETWORK.groups[1].outputs[0]),
    "w": Place(constants=tuple(NETWORK.constants_of[0])),
}


def stated(overrides: object, target: Target = J6M) -> Stated:
    return translate({"schema": "bitbudget.ort_overrides/1", **overrides} if "overrides" in overrides else overrides,
                     NETWORK, target, PLACES)  # fmt: skip


def pins(overrides: object, target: Target = J6M) -> dict[str, str]:
    return {pin.match: pin.at_least for pin in stated(overrides, target).pins}


def test_int16_asks_the_readers_and_a_writer_of_its_own_type():
    wanted = pins({"act_out": [{"quant_type": "QInt16"}]})
    assert wanted == {"act": "int16", "left": "a16w8", "right": "a16w8", "soft": "int16"}


def test_a_gemm_writes_int16_whatever_it_reads_and_is_not_asked():
    assert pins({"conv_out": [{"quant_type": "QInt16"}]}) == {"act": "int16"}


def test_int8_asks_for_nothing():
    assert pins({"act_out": [{"quant_type": "QInt8"}], "w": [{"quant_type": "QInt8"}]}) == {}


def test_readers_behind_a_convert_are_asked_for_its_type():
    down = {"quant_type": "QInt16", "convert": {"quant_type": "QInt8", "recv_nodes": ["right", "soft"]}}
    assert pins({"act_out": [down]}) == {"act": "int16", "left": "a16w8"}
    up = {"quant_type": "QInt8", "convert": {"quant_type": "QInt16", "recv_nodes": ["right"]}}
    assert pins({"act_out": [up]}) == {"right": "a16w8"}


def test_a_constant_at_int16_asks_for_16_bit_weights():
    assert pins({"w": [{"quant_type": "QInt16"}]}) == {"conv": "a8w16"}


def test_groups_our_own_file_leaves_out_are_asked_for_float():
    document = {"meta": {"nodes_to_exclude": ["act", "no such node"]}, "overrides": {}}
    assert pins(document, J6P) == {"act": "fp16"}


def test_a_rule_of_the_chip_against_a_tensor_names_both():
    document = {"meta": {"nodes_to_exclude": ["left"]}, "overrides": {}}
    with pytest.raises(PinConflictError, match=r"nodes_to_exclude.*'left'.*j6p"):
        pins(document, J6P)


def test_scales_hold_for_their_width_on_both_sides_of_a_convert():
    entry = {
        "quant_type": "QInt16",
        "scale": 0.1,
        "zero_point": 0,
        "convert": {"quant_type": "QInt8", "scale": 0.5, "zero_point": 0, "recv_nodes": ["right"]},
    }
    tensor = PLACES["act_out"].tensor
    scales = stated({"act_out": [entry]}).scales
    assert scales == {(tensor, 16): (pytest.approx(0.1), 0), (tensor, 8): (0.5, 0)}


def test_unsigned_and_signed_types_of_one_grid_are_the_same():
    tensor = PLACES["act_out"].tensor
    entry = {"quant_type": "QUInt8", "scale": 0.5, "zero_point": 128}
    assert stated({"act_out": [entry]}).scales == {(tensor, 8): (0.5, 0)}
    signed = {"quant_type": "QInt8", "scale": 0.5, "zero_point": -128}
    assert stated({"act_out": [signed]}, ORT).scales == {(tensor, 8): (0.5, 0)}


def test_a_zero_point_the_chip_does_not_have_is_refused():
    with pytest.raises(UsageError, match=r"'act_out'.*zero_point 3 .*symmetric"):
        stated({"act_out": [{"quant_type": "QInt8", "scale": 0.5, "zero_point": 3}]})


def test_ranges_and_weight_scales_are_kept():
    found = stated({"act_out": [{"quant_type": "QInt8", "rmin": -1.0, "rmax": 2.0}]})
    assert found.ranges == {PLACES["act_out"].tensor: (-1.0, 2.0)}
    channels = [{"quant_type": "QInt8", "axis": 0, "scale": 0.5 + i, "zero_point": 0} for i in range(8)]
    weights = stated({"w": channels}).weights
    assert weights == {(PLACES["w"].constants[0], 8): (tuple(0.5 + i for i in range(8)), (0,) * 8)}
    with pytest.raises(UsageError, match=r"states 7 scales, but the constant has 8 channels"):
        stated({"w": channels[:7]})


@pytest.mark.parametrize("target", ["j6m", "j6p", "ort-cpu"])
def test_an_exported_file_fed_back_gives_at_least_its_precisions_and_exactly_its_scales(tmp_path: Path, target: str):
    files = write(tmp_path)
    assert search(files, tmp_path / "first", target=target).code == 0
    exported = tmp_path / "first" / "ort_overrides.json"
    again = search(files, tmp_path / "again", "--overrides", exported, target=target)
    assert again.code == 0, again.err
    before, after = result_of(tmp_path / "first"), result_of(tmp_path / "again")
    for name, entry in before["assignment"].items():
        wanted, got = entry["precision"], after["assignment"][name]["precision"]
        if wanted in RANK and got in RANK:
            assert all(b >= a for a, b in zip(RANK[wanted], RANK[got], strict=True)), name
        elif wanted is not None:
            assert Format[got.upper()].rank >= Format.FP16.rank, name
    fed, kept = (
        overrides_of(json.loads((tmp_path / run / "ort_overrides.json").read_text())) for run in ("first", "again")
    )
    for tensor, entries in kept.items():
        if tensor in fed and entries[0]["quant_type"] == fed[tensor][0]["quant_type"]:
            assert [entry["scale"] for entry in entries] == [entry["scale"] for entry in fed[tensor]], tensor


def test_stated_scales_are_used(tmp_path: Path):
    files = write(tmp_path)
    stated_file = tmp_path / "overrides.json"
    stated_file.write_text(json.dumps({"r1": [{"quant_type": "QInt16", "scale": 0.005, "zero_point": 0}]}))
    assert search(files, tmp_path / "out", "--overrides", stated_file).code == 0
    written = overrides_of(json.loads((tmp_path / "out" / "ort_overrides.json").read_text()))
    assert written["r1"][0]["quant_type"] == "QInt16"
    assert written["r1"][0]["scale"] == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"r11": [{"quant_type": "QInt16"}]}, "no tensor of that name (did you mean 'r1'?)"),
        ({"c1": [{"quant_type": "QInt16"}]}, "inside group 'conv1' and is never quantized; name 'r1' instead"),
        ({"b1": [{"quant_type": "QInt16"}]}, "no quantized activation or weight"),
        ({"r1": [{"quant_type": "QInt4"}]}, "QInt4"),
        ({"r1": {"quant_type": "QInt8"}}, "must be a list"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_words(tmp_path: Path, overrides: object, message: str):
    files = write(tmp_path)
    (tmp_path / "overrides.json").write_text(json.dumps(overrides))
    ended = search(files, tmp_path / "out", "--overrides", tmp_path / "overrides.json")
    assert ended.code == 2
    assert message in ended.err
    assert not (tmp_path / "out").exists()
