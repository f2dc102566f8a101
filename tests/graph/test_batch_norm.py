from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from search.errors import InvalidModelError
from search.graph.notes import FOLDED
from search.graph.passes.batch_norm import fold_batch_norms, rewrite_batch_norms
from tests.builders import assert_same_outputs, batch_norm, batch_norm_constants, conv, model, node

RNG = np.random.default_rng(5)


def parsed(proto):
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto))


def folded(before):
    """Run both passes; check the outputs; return the model and what changed."""
    after = parsed(before)
    changes = fold_batch_norms(after.graph)
    changes.add(rewrite_batch_norms(after.graph))
    proto = ir.to_proto(after)
    onnx.checker.check_model(proto, full_check=True)
    assert_same_outputs(before, proto)
    return after.graph, changes


def operators(graph):
    return [(n.op_type, n.name) for n in graph]


def before_bn(op_type, channels=4, **attrs):
    """Conv-like node ``c`` followed by BatchNormalization ``bn``."""
    bias = attrs.pop("bias", True)
    groups = attrs.get("group", 1)
    shape = (6, channels // groups, 3, 3) if op_type == "ConvTranspose" else (channels, 6 // groups, 3, 3)
    constants = {"w": RNG.normal(size=shape), **batch_norm_constants("bn", channels, RNG)}
    if bias:
        constants["b"] = RNG.normal(size=channels)
    gemm = conv("c", "x", "t", weight="w", bias="b" if bias else "", op_type=op_type, **attrs)
    return model([gemm, batch_norm("bn", "t", "y", "bn", epsilon=1e-3)], ["x[N,6,7,7]"], ["y"], constants, opset=21)


@pytest.mark.parametrize("op_type", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_folds_into_convolutions(op_type, groups, bias):
    graph, changes = folded(before_bn(op_type, group=groups, bias=bias, strides=[2, 2]))
    assert operators(graph) == [(op_type, "c")]
    assert (changes.fates["bn"].role, changes.fates["bn"].into) == (FOLDED, "c")
    assert graph.outputs[0].name == "y"


def test_folds_into_a_depthwise_convolution():
    graph, _ = folded(before_bn("Conv", 6, group=6))
    assert operators(graph) == [("Conv", "c")]


@pytest.mark.parametrize("attrs", [{}, {"transB": 1}, {"alpha": 0.5, "beta": 2.0}, {"transA": 1}])
@pytest.mark.parametrize("bias", [None, (4,), (1, 4), (1,), ()])
def test_folds_into_gemm(attrs, bias):
    shape = (4, 5) if attrs.get("transB") else (5, 4)
    constants = {"w": RNG.normal(size=shape), **batch_norm_constants("bn", 4, RNG)}
    if bias is not None:
        constants["b"] = RNG.normal(size=bias)
    gemm = node("Gemm", "x w" if bias is None else "x w b", "t", "g", **attrs)
    source = "x[5,3]" if attrs.get("transA") else "x[3,5]"
    graph, _ = folded(model([gemm, batch_norm("bn", "t", "y", "bn")], [source], ["y"], constants, opset=21))
    assert operators(graph) == [("Gemm", "g")]


def test_a_gemm_whose_bias_differs_per_row_is_not_folded():
    constants = {"w": RNG.normal(size=(5, 4)), "b": RNG.normal(size=(4, 1)), **batch_norm_constants("bn", 4, RNG)}
    nodes = [node("Gemm", "x w b", "t", "g"), batch_norm("bn", "t", "y", "bn")]
    graph, _ = folded(model(nodes, ["x[4,5]"], ["y"], constants, opset=21))
    assert operators(graph) == [("Gemm", "g"), ("Mul", "bn"), ("Add", "bn/shift")]


def test_folds_into_matmul_and_becomes_its_bias():
    constants = {"w": RNG.normal(size=(5, 4)), **batch_norm_constants("bn", 4, RNG)}
    nodes = [node("MatMul", "x w", "t", "m"), batch_norm("bn", "t", "y", "bn")]
    graph, changes = folded(model(nodes, ["x[N,5]"], ["y"], constants, opset=21))
    assert operators(graph) == [("MatMul", "m"), ("Add", "bn")]
    assert "bn" not in changes.fates


@pytest.mark.parametrize("order", ["t b", "b t"])
def test_folds_into_matmul_and_its_bias(order):
    constants = {"w": RNG.normal(size=(5, 4)), "b": RNG.normal(size=4), **batch_norm_constants("bn", 4, RNG)}
    nodes = [node("MatMul", "x w", "t", "m"), node("Add", order, "u", "add"), batch_norm("bn", "u", "y", "bn")]
    graph, changes = folded(model(nodes, ["x[N,5]"], ["y"], constants, opset=21))
    assert operators(graph) == [("MatMul", "m"), ("Add", "add")]
    assert changes.fates["bn"].into == "add"


def test_a_matmul_of_three_axes_has_its_channels_elsewhere():
    constants = {"w": RNG.normal(size=(5, 4)), **batch_norm_constants("bn", 3, RNG)}
    nodes = [node("MatMul", "x w", "t", "m"), batch_norm("bn", "t", "y", "bn")]
    graph, _ = folded(model(nodes, ["x[N,3,5]"], ["y"], constants, opset=21))
    assert operators(graph) == [("MatMul", "m"), ("Mul", "bn"), ("Add", "bn/shift")]


def test_another_reader_of_the_value_between_prevents_folding():
    before = before_bn("Conv")
    before.graph.node.append(node("Relu", "t", "z", "r"))
    before.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, None))
    graph, _ = folded(before)
    assert operators(graph) == [("Conv", "c"), ("Mul", "bn"), ("Add", "bn/shift"), ("Relu", "r")]


def test_a_graph_output_between_prevents_folding():
    before = before_bn("Conv")
    before.graph.output.append(onnx.helper.make_tensor_value_info("t", 1, None))
    graph, _ = folded(before)
    assert operators(graph)[0] == ("Conv", "c")
    assert [value.name for value in graph.outputs] == ["y", "t"]


def test_shared_weights_are_copied_with_a_note():
    constants = {"w": RNG.normal(size=(3, 3, 1, 1)), **batch_norm_constants("bn", 3, RNG)}
    nodes = [
        conv("c1", "x", "t", weight="w"),
        batch_norm("bn", "t", "u", "bn"),
        conv("c2", "u", "y", weight="w"),
    ]
    graph, changes = folded(model(nodes, ["x[N,3,4,4]"], ["y"], constants, opset=21))
    assert operators(graph) == [("Conv", "c1"), ("Conv", "c2")]
    assert [note.code for note in changes.notes] == ["shared-weights-copied"]
    assert [n.inputs[1].name for n in graph] == ["c1/w", "w"]


def test_one_normalization_after_another_folds_twice():
    before = before_bn("Conv")
    del before.graph.output[:]
    before.graph.node.append(batch_norm("bn2", "y", "z", "bn"))
    before.graph.output.append(onnx.helper.make_tensor_value_info("z", 1, None))
    graph, changes = folded(before)
    assert operators(graph) == [("Conv", "c")]
    assert {name: fate.into for name, fate in changes.fates.items()} == {"bn": "c", "bn2": "c"}


@pytest.mark.parametrize("shape", ["N,3", "N,3,5", "N,3,5,5", "N,3,2,5,5"])
def test_without_a_gemm_it_becomes_mul_and_add(shape):
    constants = batch_norm_constants("bn", 3, RNG)
    graph, _ = folded(model([batch_norm("bn", "x", "y", "bn")], [f"x[{shape}]"], ["y"], constants, opset=21))
    assert operators(graph) == [("Mul", "bn"), ("Add", "bn/shift")]


def test_training_mode_is_left_alone_with_a_note():
    constants = batch_norm_constants("bn", 3, RNG)
    made = node("BatchNormalization", "x bn.gamma bn.beta bn.mean bn.var", "y m v", "bn", training_mode=1)
    after = parsed(model([made], ["x[N,3,5]"], ["y"], constants, opset=21))
    assert not fold_batch_norms(after.graph).modified
    changes = rewrite_batch_norms(after.graph)
    assert [note.code for note in changes.notes] == ["batch-norm-kept"]
    assert operators(after.graph) == [("BatchNormalization", "bn")]


def test_a_negative_variance_is_an_error():
    before = before_bn("Conv")
    constants = {t.name: t for t in before.graph.initializer}
    constants["bn.var"].CopyFrom(onnx.numpy_helper.from_array(np.full(4, -1, np.float32), "bn.var"))
    with pytest.raises(InvalidModelError, match=r"'bn' has variance \+ epsilon <= 0 in 4 channels"):
        fold_batch_norms(parsed(before).graph)


def test_statistics_that_overflow_are_an_error():
    before = before_bn("Conv")
    constants = {t.name: t for t in before.graph.initializer}
    constants["bn.gamma"].CopyFrom(onnx.numpy_helper.from_array(np.full(4, 3e38, np.float32), "bn.gamma"))
    constants["bn.var"].CopyFrom(onnx.numpy_helper.from_array(np.full(4, 1e-6, np.float32), "bn.var"))
    with pytest.raises(InvalidModelError, match=r"'bn' scales weights beyond float32"):
        fold_batch_norms(parsed(before).graph)


def test_weights_are_rounded_once():
    """Oracle: the same products in long double, rounded to float32 at the end."""
    before = before_bn("Conv")
    arrays = {t.name: onnx.numpy_helper.to_array(t).astype(np.longdouble) for t in before.graph.initializer}
    graph, _ = folded(before)
    epsilon = np.longdouble(np.float32(1e-3))
    factor = arrays["bn.gamma"] / np.sqrt(arrays["bn.var"] + epsilon)
    weight = (arrays["w"] * factor[:, None, None, None]).astype(np.float32)
    bias = ((arrays["b"] - arrays["bn.mean"]) * factor + arrays["bn.beta"]).astype(np.float32)
    (made,) = graph
    assert np.array_equal(made.inputs[1].const_value.numpy(), weight)
    np.testing.assert_allclose(made.inputs[2].const_value.numpy(), bias, rtol=2e-7)
