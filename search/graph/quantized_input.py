"""A model that is quantized already: take its Q/DQ pairs out again and keep their scales as fixed.

``DequantizeLinear(QuantizeLinear(x))`` becomes ``x``, whose scale is then fixed; ``DequantizeLinear(integers)`` becomes
the float weight ``(q - zero_point) * scale``. What computes on integers (QLinearConv, MatMulInteger, ...) has
lost its float form and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from search.arrays import Array
from search.errors import UnsupportedModelError
from search.graph.notes import FOLDED, PASS_THROUGH, Changes, Fate, Note
from search.graph.operators import attribute_int
from search.graph.values import Scope, bypass, constant_array, known_shape

_INTEGER_OPERATORS = frozenset(
    {"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul"}
    | {"MatMulIntegerToFloat", "MatMulInteger16", "QAttention", "QGemm", "MatMulNBits", "GatherBlockQuantized"}
)
_DOMAINS = ("", "com.microsoft")
_SIGNED = frozenset({ir.DataType.INT4, ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32})
_INTEGERS = _SIGNED | {ir.DataType.UINT4, ir.DataType.UINT8, ir.DataType.UINT16}
_NEVER_NEGATIVE = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Exp", "Abs", "Sqrt", "Softplus"})
_KEEPS_SIGN = frozenset(
    {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "Reshape", "Flatten"}
    | {"Transpose", "Squeeze", "Unsqueeze", "Slice", "Concat", "Add", "Max", "Identity", "Dropout", "Gather", "Split"}
)
_WAY_OUT = "Give the float model it was made from, or quantize it in QDQ format."


@dataclass(frozen=True, slots=True)
class FixedScale:
    """Quantization parameters that came with the model.

    Attributes:
        scale: One number, or one per channel of ``axis``.
        zero_point: As many.
        axis: Channel axis, or None for one scale.
        bits: 8 or 16 (4 for weights of some models).
        signed: Whether the integers are signed.
    """

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None
    bits: int
    signed: bool


@dataclass(frozen=True, slots=True)
class FixedScales:
    """Imported scales by value name of the prepared graph: activations, and weights (initializers)."""

    activations: Mapping[str, FixedScale] = field(default_factory=dict)
    weights: Mapping[str, FixedScale] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Restored:
    """What ``restore_float`` did; ``scales`` by value, since later passes may rename values."""

    changes: Changes
    scales: Mapping[ir.Value, FixedScale]


def restore_float(graph: ir.Graph) -> Restored:
    """Take quantization out of the main graph.

    1. ``DQ(Q(x))`` with the same constant scale and zero point: readers read ``x``, whose scale is fixed. Of several
       pairs in a row (a conversion) the first counts. Where its range starts at zero and ``x`` may be negative, a
       Relu or Clip was dropped in favour of that range (ONNX Runtime's tool does so): a Clip to it takes its place.
    2. ``DQ`` of a constant: a float constant under the name of its output. Its scale is fixed unless it is int32
       (a bias) or blocked.
    3. ``DQ`` of a model input and ``Q`` before a model output stay: they are the interface. They stay float operators.
    4. Quantization inside subgraphs stays.

    Raises:
        UnsupportedModelError: If an operator computes on integers, scales are computed at run time, or a pair has
            different scales.
    """
    for node in graph:
        _refuse_integer_operator(node)
    quantizers = [n for n in graph if n.op_type in ("QuantizeLinear", "DequantizeLinear") and n.domain in _DOMAINS]
    scope = Scope.of(graph)
    changes = Changes()
    scales: dict[ir.Value, FixedScale] = {}
    for node in quantizers:
        if node.op_type == "DequantizeLinear":
            _restore(scope, node, changes, scales)
    for node in quantizers:
        if node.op_type == "QuantizeLinear" and node.graph is graph:
            _check_left_over(node)
    if quantizers:
        text = (
            f"The model is quantized already ({len(quantizers)} QuantizeLinear and DequantizeLinear). It was brought "
            f"back to float; the {len(scales)} scales it came with are kept as fixed."
        )
        changes.notes.append(Note("already-quantized", text, tuple(node.name or "" for node in quantizers)))
    return Restored(changes, scales)


def _refuse_integer_operator(node: ir.Node) -> None:
    if node.domain in _DOMAINS and (node.op_type in _INTEGER_OPERATORS or node.op_type.startswith("QLinear")):
        raise UnsupportedModelError(
            f"{node.op_type} {node.name!r} computes on integers: the model is quantized already, and its float form "
            f"cannot be restored exactly. {_WAY_OUT}"
        )


def _restore(scope: Scope, node: ir.Node, changes: Changes, scales: dict[ir.Value, FixedScale]) -> None:
    source = node.inputs[0]
    if source is None or source.is_graph_input():
        return
    constant, quantizer = constant_array(source), source.producer()
    if constant is not None:
        _restore_weight(scope, node, constant, changes, scales)
    elif quantizer is not None and quantizer.op_type == "QuantizeLinear" and quantizer.domain in _DOMAINS:
        _restore_pair(scope, quantizer, node, changes, scales)
    else:
        what = f"{quantizer.op_type} {quantizer.name!r}" if quantizer is not None else "a value of the outer graph"
        raise UnsupportedModelError(
            f"DequantizeLinear {node.name!r} reads integers that {what} computed, so the float model cannot be "
            f"restored exactly. {_WAY_OUT}"
        )


def _restore_weight(
    scope: Scope, node: ir.Node, integers: Array, changes: Changes, scales: dict[ir.Value, FixedScale]
) -> None:
    source, output = node.inputs[0], node.outputs[0]
    blocked = attribute_int(node, "block_size", 0) != 0
    if blocked or integers.dtype.kind not in "iu" or output.is_graph_output():
        return  # constant folding makes it a float constant; no grid used here has such scales
    fixed = _parameters(node, source)
    scale, zero_point = np.asarray(fixed.scale, np.float32), np.asarray(fixed.zero_point, np.int64)
    if fixed.axis is not None:
        per_channel = [1] * integers.ndim
        per_channel[fixed.axis] = -1
        scale, zero_point = scale.reshape(per_channel), zero_point.reshape(per_channel)
    # as the operator does it: exact integer difference, then one float32 product
    weight = (integers.astype(np.int64) - zero_point).astype(np.float32) * scale
    name = output.name or ""
    output.name = scope.value_name(f"{name}/dequantized")
    scope.values.discard(name)
    value = scope.add_constant(name, weight.reshape(integers.shape))
    output.replace_all_uses_with(value)
    scope.graph.remove(node, safe=True)
    if integers.dtype != np.int32:
        scales[value] = fixed
    changes.fates[node.name or ""] = Fate(FOLDED, None, f"Its integers are the float constant {name} again.")


def _restore_pair(
    scope: Scope, quantizer: ir.Node, node: ir.Node, changes: Changes, scales: dict[ir.Value, FixedScale]
) -> None:
    integers, source = quantizer.outputs[0], quantizer.inputs[0]
    fixed = _parameters(quantizer, integers)
    if source is None or fixed != _parameters(node, integers):
        raise UnsupportedModelError(
            f"QuantizeLinear {quantizer.name!r} and DequantizeLinear {node.name!r} have different scales or zero "
            f"points, so the pair changes values. {_WAY_OUT}"
        )
    source = _clamped(scope, quantizer, source, fixed)
    why = "Quantization that came with the model; its scale is kept as fixed."
    removed = bypass(node, source, why=why)
    if removed is None:  # between two outputs, or an input and an output: nothing to rename
        _become_identity(scope, node, source)
    else:
        changes.add(removed)
    scales.setdefault(source, fixed)
    if not integers.uses() and not integers.is_graph_output():
        scope.graph.remove(quantizer, safe=True)
        writer = source.producer()
        changes.fates[quantizer.name or ""] = Fate(PASS_THROUGH, writer.name if writer is not None else None, why)


def _clamped(scope: Scope, quantizer: ir.Node, source: ir.Value, fixed: FixedScale) -> ir.Value:
    """Return ``source``, or a Clip of it to the range of the quantizer where that range is a lost activation."""
    info = np.iinfo(f"{'int' if fixed.signed else 'uint'}{fixed.bits}") if fixed.bits in (8, 16) else None
    if info is None or len(fixed.scale) > 1 or fixed.zero_point[0] != info.min or _is_never_negative(source):
        return source
    name = scope.node_name(f"{quantizer.name}/clip")
    top = np.float32(info.max - info.min) * np.float32(fixed.scale[0])
    bounds = [scope.add_constant(f"{name}/{side}", np.asarray(v, np.float32)) for side, v in (("min", 0), ("max", top))]
    clip = ir.Node("", "Clip", [source, *bounds], name=name)
    clip.outputs[0].name = scope.value_name(f"{source.name}/clipped")
    clip.outputs[0].shape, clip.outputs[0].type = source.shape, source.type
    scope.graph.insert_before(quantizer, clip)
    quantizer.replace_input_with(0, clip.outputs[0])
    return clip.outputs[0]


def _is_never_negative(value: ir.Value) -> bool:
    """Whether no activation can have been dropped here: the value cannot be negative, or no operator computes it."""
    todo, seen = [value], {value}
    while todo:
        node = todo.pop().producer()
        if node is None or node.op_type in _NEVER_NEGATIVE:
            continue
        if node.op_type == "Clip":
            low = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
            if low is None or float(low) < 0:
                return False
        elif node.op_type in _KEEPS_SIGN:
            sources = node.inputs if node.op_type in ("Concat", "Add", "Max") else node.inputs[:1]
            new = [source for source in sources if source is not None and source not in seen]
            todo += new
            seen.update(new)
        else:
            return False
    return True


def _become_identity(scope: Scope, node: ir.Node, source: ir.Value) -> None:
    output = node.outputs[0]
    identity = ir.Node("", "Identity", [source], name=node.name)
    scope.graph.insert_before(node, identity)
    name = output.name
    identity.outputs[0].shape, identity.outputs[0].type = output.shape, output.type
    output.replace_all_uses_with(identity.outputs[0], replace_graph_outputs=True)
    scope.graph.remove(node, safe=True)
    identity.outputs[0].name = name


def _parameters(node: ir.Node, integers: ir.Value | None) -> FixedScale:
    """Read scale and zero point of a quantizer; ``integers`` is the integer side of it."""
    scale = constant_array(node.inputs[1])
    zero_value = node.inputs[2] if len(node.inputs) > 2 else None
    zero_point = constant_array(zero_value)
    if scale is None or (zero_value is not None and zero_point is None):
        raise UnsupportedModelError(
            f"{node.op_type} {node.name!r} computes its scale or zero point at run time, so it cannot be kept as "
            f"fixed. {_WAY_OUT}"
        )
    kind = zero_value if zero_value is not None else integers
    dtype = kind.dtype if kind is not None and kind.dtype is not None else ir.DataType.UINT8
    if dtype not in _INTEGERS:
        raise UnsupportedModelError(
            f"{node.op_type} {node.name!r} quantizes to {dtype.name}, not to integers. {_WAY_OUT}"
        )
    axis = None
    if scale.size > 1:
        axis = attribute_int(node, "axis", 1)
        shape = known_shape(node.inputs[0])
        axis = axis % len(shape) if shape else axis
    zeros = np.zeros(scale.size, np.int64) if zero_point is None else zero_point.reshape(-1)
    return FixedScale(
        scale=tuple(float(v) for v in scale.reshape(-1)),
        zero_point=tuple(int(v) for v in zeros),
        axis=axis,
        bits=dtype.bitwidth,
        signed=dtype in _SIGNED,
    )


def _check_left_over(node: ir.Node) -> None:
    readers = [use.node for use in node.outputs[0].uses()]
    if readers:
        raise UnsupportedModelError(
            f"QuantizeLinear {node.name!r} feeds {readers[0].op_type} {readers[0].name!r}, which computes on integers, "
            f"so the float model cannot be restored exactly. {_WAY_OUT}"
        )
