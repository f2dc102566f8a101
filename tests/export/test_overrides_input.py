from __future__ import annotations

import json

import pytest

from search.errors import UsageError
from search.export.ort_overrides import ort_overrides_text
from search.export.overrides_input import TensorPin, parse_overrides, pins_from_overrides
from search.precision import Format
from tests.export.deployments import residual_deployment


def test_a_plain_map_becomes_pins():
    text = json.dumps(
        {
            "b": [{"quant_type": "QInt16", "convert": {"quant_type": "QInt8", "recv_nodes": ["n2", "n1"]}}],
            "a": [{"quant_type": "QUInt16", "rmin": -1, "rmax": 3}],
        }
    )
    assert pins_from_overrides(parse_overrides(text), default="QInt8") == (
        TensorPin(tensor="a", format=Format.INT16, signed=False, limits=(-1.0, 3.0)),
        TensorPin(tensor="b", format=Format.INT16),
        TensorPin(tensor="b", format=Format.INT8, at_readers=True, readers=("n1", "n2")),
    )


def test_an_entry_without_type_has_the_default():
    (pin,) = pins_from_overrides({"t": [{"scale": 0.5, "zero_point": 3}]}, default="QUInt8")
    assert pin == TensorPin(tensor="t", format=Format.INT8, signed=False, scales=(0.5,), zero_points=(3,))


def test_a_convert_without_receivers_is_for_all_readers():
    pins = pins_from_overrides({"t": [{"convert": {"quant_type": "QInt16"}}]}, default="QInt8")
    assert [(pin.at_readers, pin.readers) for pin in pins] == [(False, None), (True, None)]


def test_our_own_file_is_read_back():
    deployment = residual_deployment()
    overrides = parse_overrides(ort_overrides_text(deployment))
    constants = {constant.name for constant in deployment.network.constants}
    pins = {
        (pin.tensor, pin.at_readers): pin
        for pin in pins_from_overrides(overrides, default="QInt8", initializers=constants)
    }
    assert pins["stem_out", False].format is Format.INT16
    assert pins["stem_out", True].readers == ("/block/block.0/Add",)
    assert len(pins["stem.w", False].scales) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold a JSON object"),
        ('{"schema": "other/2", "overrides": {}}', "has schema 'other/2'; this version reads"),
        ('{"schema": "bitbudget.ort_overrides/1"}', "must hold a JSON object"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_overrides(text)
