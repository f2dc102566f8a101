from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from search.errors import UnsupportedModelError
from search.graph.load import read_model
from search.graph.prepared import prepare
from search.graph.quantized_input import FixedScale, restore_float
from tests.builders import (
    assert_same_outputs,
    batch_norm,
    batch_norm_constants,
    conv,
    model,
    node,
    random_feeds,
    run,
    save,
)

RNG = np.random.default_rng(11)
GRID = {"s": np.float32(0.1), "z": np.uint8(128)}
FIXED = FixedScale(scale=(float(np.float32(0.1)),), zero_point=(128,), axis=None, bits=8, signed=False)


def quantize(x, q, name="q", grid="s z", **attrs):
    return node("QuantizeLinear", f"{x} {grid}", q, name, **attrs)


def dequantize(q, y, name="dq", grid="s z", **attrs):
    return node("DequantizeLinear", f"{q} {grid}", y, name, **attrs)


def restored(nodes, constants=None, inputs=("x[N,2]",), outputs=("y[N,2]",), **options):
    proto = model(nodes, inputs, outputs, {**GRID, **(constants or {})}, opset=21, **options)
    after = ir.from_proto(proto)
    result = restore_float(after.graph)
    onnx.checker.check_model(ir.to_proto(after), full_check=True)
    return after.graph, result


def operators(graph):
    return [n.op_type for n in graph]


def test_a_pair_goes_and_its_scale_stays():
    nodes = [node("Relu", "x", "a", "r"), quantize("a", "q"), dequantize("q", "b"), node("Neg", "b", "y")]
    graph, result = restored(nodes)
    assert operators(graph) == ["Relu", "Neg"]
    assert {value.name: fixed for value, fixed in result.scales.items()} == {"a": FIXED}
    assert {name: fate.into for name, fate in result.changes.fates.items()} == {"dq": "r", "q": "r"}
    assert [note.code for note in result.changes.notes] == ["already-quantized"]


def test_an_activation_that_was_dropped_for_the_range_comes_back():
    """ONNX Runtime's tool removes a Relu when the quantizer behind it starts at zero."""
    constants = {"z": np.uint8(0), "w": RNG.normal(size=(2, 2))}
    nodes = [node("MatMul", "x w", "a", "m"), quantize("a", "q"), dequantize("q", "y")]
    before = model(nodes, ["x[50,2]"], ["y[50,2]"], {**GRID, **constants}, opset=21)
    after = ir.from_proto(before)
    result = restore_float(after.graph)
    assert operators(after.graph) == ["MatMul", "Clip"]
    assert [value.name for value in result.scales] == ["y"]
    feeds = {"x": 20 * RNG.normal(size=(50, 2)).astype(np.float32)}
    got, expected = run(ir.to_proto(after), feeds)["y"], run(before, feeds)["y"]
    assert expected.min() == 0
    assert expected.max() == np.float32(25.5)
    assert np.abs(got - expected).max() <= 0.0501


@pytest.mark.parametrize("before", ["Relu", "Sigmoid", "Abs"])
def test_a_range_from_zero_needs_no_clip_where_nothing_is_negative(before):
    nodes = [
        node(before, "x", "a"),
        node("Reshape", "a shape", "b"),
        node("Add", "b b", "c"),
        quantize("c", "q"),
        dequantize("q", "d"),
        node("Neg", "d", "y"),
    ]
    graph, _ = restored(nodes, {"z": np.uint8(0), "shape": np.array([0, -1])})
    assert operators(graph) == [before, "Reshape", "Add", "Neg"]


def test_one_quantizer_may_have_two_readers():
    nodes = [quantize("x", "q"), dequantize("q", "a", "d1"), dequantize("q", "b", "d2"), node("Add", "a b", "y")]
    graph, result = restored(nodes)
    assert operators(graph) == ["Add"]
    assert [value.name for value in result.scales] == ["x"]


def test_of_a_conversion_the_first_pair_counts():
    constants = {"s2": np.float32(0.5), "z2": np.int16(0)}
    nodes = [
        quantize("x", "q"),
        dequantize("q", "a"),
        quantize("a", "q2", "q2", "s2 z2"),
        dequantize("q2", "b", "dq2", "s2 z2"),
        node("Neg", "b", "y"),
    ]
    graph, result = restored(nodes, constants)
    assert operators(graph) == ["Neg"]
    assert list(result.scales.values()) == [FIXED]


def test_a_quantized_output_keeps_its_name():
    graph, _ = restored([node("Relu", "x", "a", "r"), quantize("a", "q"), dequantize("q", "y")])
    assert operators(graph) == ["Relu"]
    assert [value.name for value in graph.outputs] == ["y"]


def test_a_pair_between_input_and_output_leaves_an_identity():
    graph, _ = restored([quantize("x", "q"), dequantize("q", "y")])
    assert operators(graph) == ["Identity"]


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_integer_weights_become_what_the_runtime_makes_of_them(dtype, axis):
    n = 1 if axis is None else (2, 3, 3)[axis]
    info = np.iinfo(dtype)
    constants = {
        "q": RNG.integers(info.min, info.max, (2, 3), dtype=dtype, endpoint=True),
        "s": RNG.uniform(0.01, 1, n).astype(np.float32) if axis is not None else np.float32(0.3),
        "z": RNG.integers(info.min, info.max, n, dtype=dtype) if axis is not None else dtype(5),
    }
    attrs = {} if axis is None else {"axis": axis}
    before = model([dequantize("q", "w", **attrs), node("Add", "x w", "y")], ["x[2,3]"], ["y"], constants, opset=21)
    after = ir.from_proto(before)
    result = restore_float(after.graph)
    assert operators(after.graph) == ["Add"]
    assert_same_outputs(before, ir.to_proto(after), tolerance=0)
    ((value, fixed),) = result.scales.items()
    assert (value.name, fixed.bits, fixed.signed) == ("w", info.bits, info.min < 0)
    assert fixed.axis == (None if axis is None else axis % 2)
    assert fixed.zero_point == tuple(constants["z"].reshape(-1).tolist())


def test_an_integer_bias_has_no_scale_of_its_own():
    constants = {"b": np.array([7, -9], np.int32), "sb": np.float32(0.01)}
    graph, result = restored([dequantize("b", "bias", grid="sb"), node("Add", "x bias", "y")], constants)
    assert operators(graph) == ["Add"]
    assert not result.scales
    np.testing.assert_allclose(graph.initializers["bias"].const_value.numpy(), [0.07, -0.09], rtol=1e-6)


def test_fake_quantized_float_weights_keep_their_values():
    weight = RNG.normal(size=(2, 2))
    nodes = [quantize("w", "q"), dequantize("q", "v"), node("MatMul", "x v", "y")]
    graph, result = restored(nodes, {"w": weight})
    assert operators(graph) == ["MatMul"]
    assert [value.name for value in result.scales] == ["w"]
    assert np.array_equal(graph.initializers["w"].const_value.numpy(), weight.astype(np.float32))


def test_quantizers_of_com_microsoft_are_known():
    grid = {"s": np.float32(0.1), "z": np.uint16(3)}
    nodes = [
        quantize("x", "q", domain="com.microsoft"),
        dequantize("q", "a", domain="com.microsoft"),
        node("Neg", "a", "y"),
    ]
    graph, result = restored(nodes, grid, domains={"com.microsoft": 1})
    assert operators(graph) == ["Neg"]
    assert next(iter(result.scales.values())).bits == 16


def test_an_integer_interface_stays():
    nodes = [dequantize("i", "a", "d1"), node("Relu", "a", "b"), quantize("b", "o", "q2")]
    graph, _ = restored(nodes, inputs=("i:uint8[N,2]",), outputs=("o:uint8[N,2]",))
    assert operators(graph) == ["DequantizeLinear", "Relu", "QuantizeLinear"]


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        (
            [quantize("x", "q"), node("MaxPool", "q", "p", "pool", kernel_shape=[1]), dequantize("p", "y")],
            r"'dq' reads integers that MaxPool 'pool' computed",
        ),
        (
            [quantize("x", "q"), dequantize("q", "y", grid="s2 z")],
            r"'q' and DequantizeLinear 'dq' have different scales",
        ),
        (
            [node("Abs", "s", "t"), quantize("x", "q", grid="t z"), dequantize("q", "y", grid="t z")],
            r"'q' computes its scale or zero point at run time",
        ),
        (
            [node("DynamicQuantizeLinear", "x", "q t u", "dyn"), dequantize("q", "y", grid="t u")],
            r"DynamicQuantizeLinear 'dyn' computes on integers",
        ),
        (
            [quantize("x", "q"), node("MatMulInteger", "q q", "i", "mmi"), node("Cast", "i", "y", to=1)],
            r"MatMulInteger 'mmi' computes on integers",
        ),
        (
            [quantize("x", "q"), node("Cast", "q", "y", "cast", to=1)],
            r"QuantizeLinear 'q' feeds Cast 'cast', which computes on integers",
        ),
    ],
)
def test_what_cannot_be_restored_is_refused(nodes, text):
    proto = model(nodes, ["x[2,2]"], ["y[2,2]"], {**GRID, "s2": np.float32(0.2)}, opset=21)
    with pytest.raises(UnsupportedModelError, match=text + r"[\s\S]*Give the float model"):
        restore_float(ir.from_proto(proto).graph)


class Samples(CalibrationDataReader):
    def __init__(self, feeds):
        self._feeds = iter(feeds)

    def get_next(self):
        return next(self._feeds, None)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_model_quantized_by_onnxruntime_comes_back(tmp_path, bits):
    """The float net, quantized to QDQ and prepared: the same operators, weights within half a step."""
    rng = np.random.default_rng(2)
    nodes = [
        conv("c1", "x", "a", weight="w1", bias="b1"),
        node("Relu", "a", "b", "r"),
        conv("c2", "b", "c", weight="w2"),
        node("GlobalAveragePool", "c", "y", "p"),
    ]
    constants = {"w1": rng.normal(size=(4, 3, 3, 3)), "b1": rng.normal(size=4), "w2": rng.normal(size=(2, 4, 1, 1))}
    before = model(nodes, ["x[1,3,8,8]"], ["y[1,2,1,1]"], constants, opset=21)
    path = save(before, tmp_path)
    activation = QuantType.QUInt8 if bits == 8 else QuantType.QUInt16
    feeds = [random_feeds(before, rng) for _ in range(4)]
    quantize_static(
        path,
        tmp_path / "qdq.onnx",
        Samples(feeds),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=activation,
        weight_type=QuantType.QInt8,
    )
    prepared = prepare(read_model(tmp_path / "qdq.onnx"), run)
    assert prepared.was_quantized
    assert operators(prepared.model.graph) == ["Conv", "Clip", "Conv", "GlobalAveragePool"]
    assert_same_outputs(before, ir.to_proto(prepared.model), tolerance=0.05)
    assert {fixed.bits for fixed in prepared.fixed.activations.values()} == {bits}
    assert {fixed.axis for fixed in prepared.fixed.weights.values()} == {0}
    for name, fixed in prepared.fixed.weights.items():
        stem = "w1" if len(fixed.scale) == 4 else "w2"
        got = prepared.model.graph.initializers[name].const_value.numpy()
        step = np.array(fixed.scale).reshape(-1, 1, 1, 1)
        assert (np.abs(got - constants[stem]) <= 0.5001 * step).all()


def test_scales_of_a_value_that_a_normalization_changes_are_dropped(tmp_path):
    rng = np.random.default_rng(4)
    nodes = [
        conv("c", "x", "a", weight="w"),
        quantize("a", "q"),
        dequantize("q", "b"),
        batch_norm("bn", "b", "y", "bn"),
    ]
    constants = {**GRID, "w": rng.normal(size=(3, 2, 1, 1)), **batch_norm_constants("bn", 3, rng)}
    proto = model(nodes, ["x[N,2,4,4]"], ["y[N,3,4,4]"], constants, opset=21)
    prepared = prepare(read_model(save(proto, tmp_path)), run)
    assert operators(prepared.model.graph) == ["Conv"]
    assert prepared.was_quantized
    assert not prepared.fixed.activations
