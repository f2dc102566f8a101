from __future__ import annotations

import pytest
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.tensor_quant_overrides import TensorQuantOverridesHelper

from search.errors import UsageError
from search.export.override_rules import check_overrides

GRID = {"scale": 0.1, "zero_point": 0}

INVALID = [
    ({"t": [{"scale": 0.1}]}, "scale and zero_point must be given together"),
    ({"t": [{"zero_point": 0}]}, "scale and zero_point must be given together"),
    ({"w": [{"axis": 0, "rmin": -1.0}, {"rmin": -1.0}]}, "rmin and rmax must be given together"),
    ({"t": [{**GRID, "symmetric": True}]}, "symmetric has no meaning beside scale"),
    ({"w": [{**GRID, "reduce_range": True}]}, "reduce_range has no meaning beside scale"),
    ({"t": [{"reduce_range": True}]}, "reduce_range is for constants only"),
    ({"w": [{"convert": {"quant_type": "QInt16"}}]}, "a constant has no reader-side type"),
    ({"t": [{"convert": {"recv_nodes": ["a"]}}]}, "must be an object with a quant_type"),
    ({"t": [{"convert": {"quant_type": "QInt8"}}]}, "is the type the tensor has already"),
    ({"t": [{"convert": {"quant_type": "QInt16", "scale": 0.1}}]}, "scale and zero_point must be given together"),
    ({"t": [GRID, GRID]}, "only constants are quantized per channel"),
    ({"w": [GRID, GRID]}, "the first must name the axis"),
    ({"w": [{"axis": 0, **GRID}, {}]}, "either all channels give scale or none does"),
    ({"w": [{"axis": 0, "quant_type": "QInt8"}, {"quant_type": "QInt16"}]}, "quant_type differs"),
]


@pytest.mark.parametrize(("overrides", "message"), INVALID)
def test_a_broken_rule_names_the_tensor_and_the_rule(overrides, message):
    tensor = next(iter(overrides))
    with pytest.raises(UsageError, match=f"{tensor}.*{message}"):
        check_overrides(overrides, default="QInt8", initializers=["w"])


@pytest.mark.parametrize(("overrides", "message"), INVALID)
def test_onnx_runtime_refuses_the_same_overrides(overrides, message):
    helped = TensorQuantOverridesHelper(_as_runtime(overrides))
    initializers = {"w": helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [1.0, 2.0])}
    if message == "the first must name the axis":
        initializers["w"] = helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [1.0, 2.0])
    assert helped.is_valid(initializers, {"t"}, QuantType.QInt8)[0] is False


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"quant_type": "QInt4"}, "quant_type 'QInt4' is not known. Use one of QInt16, QInt8, QUInt16, QUInt8"),
        ({"scale": 0.0, "zero_point": 0}, "scale must be a positive number, got 0.0"),
        ({"scale": float("nan"), "zero_point": 0}, "scale must be a positive number"),
        ({"scale": 0.1, "zero_point": 128}, r"zero_point must be an integer in -128..127, got 128"),
        ({"rmin": 1.0, "rmax": 1.0}, "rmin must be a number below rmax"),
        ({"rmin": 0.0, "rmax": 1.0, "symmetric": True}, "symmetric has no meaning beside rmin"),
        ({"rmin": 0.0, "rmax": 1.0, "scale": 0.1, "zero_point": 0}, "not both"),
        ({"type": "QInt8"}, "unknown key 'type'"),
        ({"convert": {"quant_type": "QInt16", "recv_nodes": "Conv"}}, "must be a list of node names"),
        ({"convert": {"quant_type": "QInt16", "recv_nodes": []}}, "recv_nodes is empty"),
    ],
)
def test_values_the_runtime_would_take_silently_are_refused(entry, message):
    with pytest.raises(UsageError, match=message):
        check_overrides({"t": [entry]}, default="QInt8")


def test_every_tensor_is_checked_not_only_the_first():
    with pytest.raises(UsageError, match="'second'"):
        check_overrides({"first": [GRID], "second": [{"scale": 1.0}]}, default="QInt8")


def test_a_list_is_needed():
    with pytest.raises(UsageError, match="'t': must be a list"):
        check_overrides({"t": {"quant_type": "QInt8"}}, default="QInt8")
    with pytest.raises(UsageError, match="must be a JSON object"):
        check_overrides([GRID], default="QInt8")


def test_valid_overrides_pass():
    check_overrides(
        {
            "t": [{"quant_type": "QuantType.QInt16", **GRID, "convert": {"quant_type": "QInt8", **GRID}}],
            "w": [{"axis": 0, **GRID}, GRID],
            "u": [{"rmin": -1.0, "rmax": 2.0}],
        },
        default="QInt8",
        initializers=["w"],
    )


def _as_runtime(value):
    if isinstance(value, dict):
        return {key: QuantType[item] if key == "quant_type" else _as_runtime(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_runtime(item) for item in value]
    return value
