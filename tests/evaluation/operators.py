"""One tiny graph per operator that can be quantized; what the operator reads is an activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from tests.builders import conv, model, node

Build = Callable[[np.random.Generator], onnx.ModelProto]


def _image(*nodes: onnx.NodeProto, constants: dict[str, Any] | None = None, opset: int = 17) -> onnx.ModelProto:
    """``nodes`` from ``a`` to ``y``, between a Conv that writes ``a`` and a model output."""
    rng = np.random.default_rng(1)
    stem = conv("stem", "x", "a", weight="stem.w", bias="stem.b", pads=[1, 1, 1, 1])
    given = {"stem.w": rng.normal(0, 0.4, (4, 2, 3, 3)), "stem.b": rng.normal(0, 0.3, 4), **(constants or {})}
    return _sized(model([stem, *nodes], ["x[N,2,6,6]"], ["y"], given, opset=opset))


def _sized(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with inferred output shapes, without which the checker takes no model."""
    inferred = onnx.shape_inference.infer_shapes(proto)
    for info in inferred.graph.output:
        info.type.tensor_type.shape.SetInParent()
    return inferred


def _unary(op_type: str, opset: int = 17, **attrs: Any) -> Build:
    return lambda rng: _image(node(op_type, "a", "y", "op", **attrs), opset=opset)


def _two(op_type: str) -> Build:
    def build(rng: np.random.Generator) -> onnx.ModelProto:
        other = node("Sigmoid", "a", "s", "other")
        shift = node("Add", "s half", "b", "shift")
        return _image(other, shift, node(op_type, "a b", "y", "op"), constants={"half": np.float32(0.5)})

    return build


def _above_zero(op_type: str) -> onnx.ModelProto:
    """``op_type`` of what lies between 0.5 and 1.5."""
    nodes = [node("Sigmoid", "a", "s", "before"), node("Add", "s half", "p", "up"), node(op_type, "p", "y", "op")]
    return _image(*nodes, constants={"half": np.float32(0.5)})


def _positive(op_type: str) -> Build:
    return lambda rng: _image(node("Relu", "a", "r", "before"), node(op_type, "r", "y", "op"))


def _with(constants: dict[str, Any], *nodes: onnx.NodeProto) -> Build:
    return lambda rng: _image(*nodes, constants=constants)


def _gemm(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {"w": rng.normal(size=(5, 6)), "b": rng.normal(size=5), "w2": rng.normal(size=(5, 3))}
    nodes = [
        node("Gemm", "x w b", "h", "op", transB=1),
        node("Relu", "h", "r", "relu"),
        node("Gemm", "r w2", "y", "two"),
    ]
    return model(nodes, ["x[N,6]"], ["y[N,3]"], constants)


def _matmul(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {"w": rng.normal(size=(6, 5)), "b": rng.normal(size=5), "w2": rng.normal(size=(5, 3))}
    nodes = [node("MatMul", "x w", "m", "op"), node("Add", "m b", "h", "bias"), node("MatMul", "h w2", "y", "two")]
    return model(nodes, ["x[N,4,6]"], ["y[N,4,3]"], constants)


def _attention(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {"w": rng.normal(size=(6, 5)), "b": rng.normal(size=4)}
    nodes = [
        node("MatMul", "x w", "q", "query"),
        node("Transpose", "q", "k", "turn", perm=[0, 2, 1]),
        node("MatMul", "q k", "m", "op"),
        node("Add", "m b", "s", "bias"),
        node("Softmax", "s", "y", "soft", axis=-1),
    ]
    return model(nodes, ["x[N,4,6]"], ["y[N,4,4]"], constants)


def _conv1d(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {"w": rng.normal(size=(3, 2, 3)), "b": rng.normal(size=3), "w2": rng.normal(size=(2, 3, 1))}
    nodes = [conv("op", "x", "h", weight="w", bias="b"), conv("two", "h", "y", weight="w2")]
    return _sized(model(nodes, ["x[N,2,8]"], ["y"], constants))


def _layer_norm(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {"w": rng.normal(size=(6, 6)), "gamma": rng.uniform(0.5, 2, 6), "beta": rng.normal(size=6)}
    nodes = [node("MatMul", "x w", "h", "before"), node("LayerNormalization", "h gamma beta", "y", "op", axis=-1)]
    return _sized(model(nodes, ["x[N,4,6]"], ["y"], constants))


def _grid_sample(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {
        "w": rng.normal(0, 0.4, (4, 2, 3, 3)),
        "theta": rng.normal(0, 0.1, (72, 32)),
        "base": rng.uniform(-1, 1, 32),
    }
    nodes = [
        conv("stem", "x", "a", weight="w", pads=[1, 1, 1, 1]),
        node("Flatten", "x", "f", "flat"),
        node("Gemm", "f theta base", "g", "coordinates"),
        node("Reshape", "g shape", "grid", "reshape"),
        node("GridSample", "a grid", "y", "op", align_corners=1),
    ]
    return _sized(model(nodes, ["x[N,2,6,6]"], ["y"], {**constants, "shape": np.array([-1, 4, 4, 2])}))


def _gather(rng: np.random.Generator) -> onnx.ModelProto:
    constants = {"table": rng.normal(size=(9, 6)), "w": rng.normal(size=(6, 4))}
    nodes = [node("Gather", "table ids", "e", "op"), node("MatMul", "e w", "y", "head")]
    return _sized(model(nodes, ["ids:int64[N,3]"], ["y"], constants))


def _recurrent(op_type: str, gates: int) -> Build:
    def build(rng: np.random.Generator) -> onnx.ModelProto:
        constants = {
            "w": rng.normal(0, 0.5, (1, gates * 5, 4)),
            "r": rng.normal(0, 0.5, (1, gates * 5, 5)),
            "b": rng.normal(0, 0.2, (1, 2 * gates * 5)),
            "head": rng.normal(size=(5, 3)),
        }
        nodes = [
            node("Transpose", "x", "t", "time_first", perm=[1, 0, 2]),
            node(op_type, "t w r b", "s h", "op", hidden_size=5),
            node("Squeeze", "h zero", "last", "squeeze"),
            node("MatMul", "last head", "y", "head"),
        ]
        return model(nodes, ["x[N,3,4]"], ["y[N,3]"], {**constants, "zero": np.array([0])})

    return build


def _resize(mode: str) -> Build:
    scales = np.array([1, 1, 2, 2], np.float32)
    return _with({"scales": scales}, node("Resize", "a _ scales", "y", "op", mode=mode))


_HALF = np.float32(0.5)
OPERATORS: dict[str, Build] = {
    "Conv": _with({"w": np.linspace(-1, 1, 24).reshape(6, 4, 1, 1)}, conv("op", "a", "y", weight="w")),
    "Conv1d": _conv1d,
    "ConvGrouped": _with({"w": np.linspace(-1, 1, 72).reshape(4, 2, 3, 3)}, conv("op", "a", "y", weight="w", group=2)),
    "ConvDepthwise": _with(
        {"w": np.linspace(-1, 1, 36).reshape(4, 1, 3, 3)}, conv("op", "a", "y", weight="w", group=4)
    ),
    "ConvTranspose": _with(
        {"w": np.linspace(-1, 1, 48).reshape(4, 3, 2, 2), "b": np.array([0.1, -0.2, 0.3], np.float32)},
        conv("op", "a", "y", weight="w", bias="b", op_type="ConvTranspose", strides=[2, 2]),
    ),
    "ConvTransposeGrouped": _with(
        {"w": np.linspace(-1, 1, 32).reshape(4, 2, 2, 2), "b": np.array([0.1, -0.2, 0.3, 0.4], np.float32)},
        conv("op", "a", "y", weight="w", bias="b", op_type="ConvTranspose", strides=[2, 2], group=2),
    ),
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulOfTwo": _attention,
    "Add": _two("Add"),
    "Sub": _two("Sub"),
    "Mul": _two("Mul"),
    "Div": _two("Div"),
    "AddConstant": _with({"c": np.linspace(-1, 1, 144).reshape(4, 6, 6)}, node("Add", "a c", "y", "op")),
    "Relu": lambda rng: _image(node("Sigmoid", "a", "s", "before"), node("Relu", "s", "y", "op")),
    "LeakyRelu": _unary("LeakyRelu", alpha=0.1),
    "PRelu": _with({"slope": np.array([0.1, 0.2, 0.3, 0.4]).reshape(4, 1, 1)}, node("PRelu", "a slope", "y", "op")),
    "Clip": _with(
        {"low": np.float32(0), "high": np.float32(0.8)},
        node("Tanh", "a", "s", "before"),
        node("Clip", "s low high", "y", "op"),
    ),
    "Sigmoid": _unary("Sigmoid"),
    "Tanh": _unary("Tanh"),
    "HardSigmoid": _unary("HardSigmoid"),
    "HardSwish": _unary("HardSwish"),
    "Gelu": _unary("Gelu", opset=20),
    "Erf": _unary("Erf"),
    "Exp": _unary("Exp"),
    "Sqrt": _positive("Sqrt"),
    **{name: _unary(name) for name in ("Neg", "Abs", "Softplus", "Softsign", "Elu", "Selu", "Celu", "Sin", "Cos")},
    "Floor": _with({"c": np.float32(3)}, node("Mul", "a c", "t", "thrice"), node("Floor", "t", "y", "op")),
    "Mish": _unary("Mish", opset=18),
    "Log": lambda rng: _above_zero("Log"),
    "Reciprocal": lambda rng: _above_zero("Reciprocal"),
    "Pow": _with({"p": np.float32(3)}, node("Pow", "a p", "y", "op")),
    "Max": _two("Max"),
    "Min": _two("Min"),
    "Sum": _two("Sum"),
    "MaxWithConstant": _with({"c": np.linspace(-1, 1, 4).reshape(4, 1, 1)}, node("Max", "a c", "y", "op")),
    "ReduceMax": _unary("ReduceMax", axes=[2, 3]),
    "ReduceMin": _unary("ReduceMin", axes=[1]),
    "ReduceSum": _with({"axes": np.array([2])}, node("ReduceSum", "a axes", "y", "op")),
    "ReduceL2": _unary("ReduceL2", axes=[1]),
    "ReduceL2Flat": _unary("ReduceL2", axes=[1, -1], keepdims=0),
    "CumSum": _with({"axis": np.array(2)}, node("CumSum", "a axis", "y", "op")),
    "CumSumBack": _with({"axis": np.array(-1)}, node("CumSum", "a axis", "y", "op", reverse=1)),
    "CumSumBefore": _with({"axis": np.array(1)}, node("CumSum", "a axis", "y", "op", exclusive=1)),
    "CumSumBetween": _with({"axis": np.array(2)}, node("CumSum", "a axis", "y", "op", exclusive=1, reverse=1)),
    "GlobalMaxPool": _unary("GlobalMaxPool"),
    "LogSoftmax": _unary("LogSoftmax", axis=1),
    "LpNormalization": _unary("LpNormalization", axis=1),
    "LpNormalization1": _unary("LpNormalization", axis=1, p=1),
    "LpNormalizationLast": _unary("LpNormalization"),
    "InstanceNormalization": _with(
        {"s": np.linspace(0.5, 2, 4), "b": np.linspace(-1, 1, 4)}, node("InstanceNormalization", "a s b", "y", "op")
    ),
    "GroupNormalization": lambda rng: _image(
        node("GroupNormalization", "a s b", "y", "op", num_groups=2),
        constants={"s": np.linspace(0.5, 2, 4), "b": np.linspace(-1, 1, 4)},
        opset=21,
    ),
    "SimplifiedLayerNormalization": _with(
        {"s": np.linspace(0.5, 2, 6)}, node("SimplifiedLayerNormalization", "a s", "y", "op", axis=-1)
    ),
    "Where": _with(
        {"zero": np.float32(0)},
        node("Sigmoid", "a", "s", "other"),
        node("Greater", "a zero", "c", "condition"),
        node("Where", "c a s", "y", "op"),
    ),
    "Softmax": _unary("Softmax", axis=1),
    "LayerNormalization": _layer_norm,
    "GlobalAveragePool": _unary("GlobalAveragePool"),
    "AveragePool": _unary("AveragePool", kernel_shape=[2, 2]),
    "MaxPool": _unary("MaxPool", kernel_shape=[2, 2]),
    "ReduceMean": _unary("ReduceMean", axes=[2, 3]),
    "Concat": lambda rng: _image(node("Sigmoid", "a", "s", "other"), node("Concat", "a s", "y", "op", axis=1)),
    "Split": _with(
        {"sizes": np.array([1, 3])},
        node("Split", "a sizes", "l r", "op", axis=1),
        node("Mul", "l r", "y", "after"),
    ),
    "Slice": _with(
        {"start": np.array([1]), "end": np.array([5]), "axis": np.array([2])},
        node("Slice", "a start end axis", "s", "op"),
        node("Sigmoid", "s", "y", "after"),
    ),
    "Pad": _with(
        {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "value": np.float32(0.7)}, node("Pad", "a pads value", "y", "op")
    ),
    "PadWithZero": _with({"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, node("Pad", "a pads", "y", "op")),
    "Resize": _resize("linear"),
    "ResizeNearest": _resize("nearest"),
    "Reshape": _with(
        {"shape": np.array([0, -1])}, node("Reshape", "a shape", "s", "op"), node("Tanh", "s", "y", "after")
    ),
    "Transpose": lambda rng: _image(
        node("Transpose", "a", "s", "op", perm=[0, 2, 3, 1]), node("Softmax", "s", "y", "after", axis=-1)
    ),
    "Flatten": lambda rng: _image(node("Flatten", "a", "s", "op"), node("Exp", "s", "y", "after")),
    "Squeeze": lambda rng: _image(
        node("GlobalAveragePool", "a", "p", "pool"),
        node("Squeeze", "p axes", "s", "op"),
        node("Unsqueeze", "s axes", "u", "undo"),
        node("Sigmoid", "u", "y", "after"),
        constants={"axes": np.array([2, 3])},
    ),
    "GridSample": _grid_sample,
    "Gather": _gather,
    "LSTM": _recurrent("LSTM", 4),
    "GRU": _recurrent("GRU", 3),
}
"""Operator, or a form of it, to what builds its graph."""
