"""What each ONNX operator is to the search: its class, or that it merely passes values through.

An operator that is not listed here stays float and is reported with its share of compute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.graph.network import OpClass

if TYPE_CHECKING:  # the targets read the table below, and need no graph
    import onnx_ir as ir

UNARY = (
    *("Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Gelu", "Silu", "Swish", "Mish", "Erf", "Exp", "Sqrt"),
    *("Neg", "Abs", "Reciprocal", "Log", "Pow", "Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Tan", "Atan"),
    *("Softplus", "Softsign", "Elu", "Selu", "Celu", "ThresholdedRelu", "Shrink", "Asin", "Acos"),
    *("Sinh", "Cosh", "Asinh", "Acosh", "Atanh"),
)
"""Functions of one activation (Pow: with a constant exponent): a table each, made by running the operator itself."""

CLASSES: dict[str, OpClass] = {
    "Conv": OpClass.GEMM,
    "ConvTranspose": OpClass.GEMM,
    "Gemm": OpClass.GEMM,
    "MatMul": OpClass.GEMM,
    "LSTM": OpClass.RECURRENT,
    "GRU": OpClass.RECURRENT,
    "Add": OpClass.ELEMENTWISE,
    "Sub": OpClass.ELEMENTWISE,
    "Mul": OpClass.ELEMENTWISE,
    "Div": OpClass.ELEMENTWISE,
    "Relu": OpClass.ACTIVATION,
    "LeakyRelu": OpClass.ACTIVATION,
    "PRelu": OpClass.ACTIVATION,
    "Clip": OpClass.ACTIVATION,
    "Sum": OpClass.ELEMENTWISE,
    "Max": OpClass.ELEMENTWISE,
    "Min": OpClass.ELEMENTWISE,
    **dict.fromkeys(UNARY, OpClass.LUT),
    "Softmax": OpClass.NORM,
    "LogSoftmax": OpClass.NORM,
    "LayerNormalization": OpClass.NORM,
    "SimplifiedLayerNormalization": OpClass.NORM,
    "RMSNormalization": OpClass.NORM,
    "InstanceNormalization": OpClass.NORM,
    "GroupNormalization": OpClass.NORM,
    "LpNormalization": OpClass.NORM,
    "ReduceL2": OpClass.NORM,
    "MaxPool": OpClass.POOL,
    "AveragePool": OpClass.POOL,
    "GlobalAveragePool": OpClass.POOL,
    "GlobalMaxPool": OpClass.POOL,
    "ReduceMean": OpClass.POOL,
    "ReduceSum": OpClass.POOL,
    "ReduceMax": OpClass.POOL,
    "ReduceMin": OpClass.POOL,
    "CumSum": OpClass.POOL,
    "Resize": OpClass.RESIZE,
    "GridSample": OpClass.WARP,
    "Concat": OpClass.MOVEMENT,
    "Pad": OpClass.MOVEMENT,
    "Where": OpClass.MOVEMENT,
    "ScatterND": OpClass.MOVEMENT,
    "ScatterElements": OpClass.MOVEMENT,
    "GatherND": OpClass.MOVEMENT,
    "GatherElements": OpClass.MOVEMENT,
    "Gather": OpClass.EMBEDDING,
}
"""Class of a group by the operator that names it."""

PASS_THROUGH = frozenset(
    {
        "Reshape",
        "Transpose",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Identity",
        "Slice",
        "Split",
        "Expand",
        "Tile",
        "DepthToSpace",
        "SpaceToDepth",
    }
)
"""Operators that move values without changing them; input 0 and every output share one grid."""

FLOAT_TYPES = frozenset({"FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16"})


def is_float(value: ir.Value) -> bool:
    """Whether the value holds real numbers."""
    return value.dtype is not None and value.dtype.name in FLOAT_TYPES


def attribute_int(node: ir.Node, name: str, default: int) -> int:
    """Integer attribute of ``node``, or ``default``."""
    attr = node.attributes.get(name)
    return default if attr is None else attr.as_int()


def attribute_text(node: ir.Node, name: str, default: str) -> str:
    """String attribute of ``node``, or ``default``."""
    attr = node.attributes.get(name)
    return default if attr is None else attr.as_string()


def passes_through(node: ir.Node) -> bool:
    """Whether every float output of ``node`` holds values of its input 0 (or zeros) and nothing else.

    A Cast counts that gives a model output its type, Pad when it pads with zero or copies of the data, Gather when it
    picks from an activation. Resize does not count, not even to the nearest value: it runs on a unit of its own, with
    its own rules.
    """
    if node.domain not in ("", "ai.onnx") or not node.inputs or node.inputs[0] is None:
        return False
    if node.op_type == "Cast":
        return hands_out(node)
    if node.op_type == "Pad":
        return attribute_text(node, "mode", "constant") != "constant" or pads_with_zero(node)
    if node.op_type == "Gather":
        return node.inputs[0].const_value is None
    return node.op_type in PASS_THROUGH


def hands_out(node: ir.Node) -> bool:
    """Whether a Cast brings a float32 value to the type of a model output that nothing else reads."""
    source, output = node.inputs[0], node.outputs[0]
    is_wide = source is not None and source.dtype is not None and source.dtype.name == "FLOAT"
    return is_wide and is_float(output) and output.is_graph_output() and not output.uses()


def pads_with_zero(node: ir.Node) -> bool:
    """Whether a Pad node in constant mode pads with zero."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return True
    return value.const_value is not None and not value.const_value.numpy().any()


def class_of(node: ir.Node) -> OpClass:
    """Class of the group that ``node`` names."""
    if node.domain not in ("", "ai.onnx"):
        return OpClass.FLOAT
    return CLASSES.get(node.op_type, OpClass.FLOAT)
