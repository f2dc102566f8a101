"""A model that is quantized already: take its Q/DQ pairs out again and keep their scales as fixed.

``x -> QuantizeLinear -> DequantizeLinear -> y`` becomes ``x``, whose scale is then fixed; ``DequantizeLinear(integers)``
becomes the float weight ``(q - zero_point) * scale``. What computes on integers (QLinearConv, MatMulInteger, ...) has
lost its float form and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from search.errors import UnsupportedModelError
from search.graph.notes import FOLDED, Changes, Fate, Note
from search.graph.operators import attribute_int
from search.graph.values import Array, add_constant, constant_array, known_shape

_INTEGER_OPERATORS = frozenset(
    {"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul"}
    | {"MatMulIntegerToFloat", "MatMulInteger16", "QAttention", "QGemm", "MatMulNBits", "GatherBlockQuantized"}
)
_DOMAINS = ("", "com.microsoft")
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
       pairs in a row (a conversion) the first counts.
    2. ``DQ`` of a constant: a float constant under the name of its output. Its scale is fixed unless it is int32
       (a bias) or blocked.
    3. ``DQ`` of a model input and ``Q`` before a model output stay: they are the interface. They stay float operators.
    4. Quantization inside subgraphs stays.

    Raises:
        UnsupportedModelError: If an operator computes on integers, scales are computed at run time, or a pair has
            different scales.
    """
    quantizers = [n for n in graph if n.op_type in ("QuantizeLinear", "DequantizeLinear") and n.domain in _DOMAINS]
    for node in graph:
        _refuse_integer_operator(node)
    changes = Changes()
    scales: dict[ir.Value, FixedScale] = {}
    for node in quantizers:
        if node.op_type == "DequantizeLinear":
            _restore(graph, node, changes, scales)
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


def _restore(graph: ir.Graph, node: ir.Node, changes: Changes, scales: dict[ir.Value, FixedScale]) -> None:
    source = node.inputs[0]
    constant = constant_array(source)
    if source is None or source.is_graph_input():
        return
    quantizer = source.producer()
    if constant is not None:
        _restore_weight(graph, node, constant, changes, scales)
    elif quantizer is not None and quantizer.op_type == "QuantizeLinear" and quantizer.domain in _DOMAINS:
        _restore_pair(graph, quantizer, node, changes, scales)
    else:
        what = f"{quantizer.op_type} {quantizer.name!r}" if quantizer is not None else "a value of the outer graph"
        raise UnsupportedModelError(
            f"DequantizeLinear {node.name!r} reads integers that {what} computed, so the float model cannot be "
            f"restored exactly. {_WAY_OUT}"
        )


def _restore_weight(
    graph: ir.Graph, node: ir.Node, integers: Array, changes: Changes, scales: dict[ir.Value, FixedScale]
) -> None:
    fixed, blocked = _parameters(node), attribute_int(node, "block_size", 0) != 0
    if blocked or integers.dtype.kind not in "iu":
        return  # constant folding turns it into a float constant; its scales are of no grid used here
    scale, zero_point = (np.asarray(part) for part in (fixed.scale, fixed.zero_point))
    if fixed.axis is not None:
        per_channel = [1] * integers.ndim
        per_channel[fixed.axis] = -1
        scale, zero_point = scale.reshape(per_channel), zero_point.reshape(per_channel)
    # as the operator does it: exact integer difference, then one float32 product
    weight = (integers.astype(np.int64) - zero_point).astype(np.float32) * scale.astype(np.float32)
    output = node.outputs[0]
    if output.is_graph_output():
        return
    name = output.name or ""
    graph.remove(_detached(node))
    output.name = None
    value = add_constant(graph, name, weight.reshape(integers.shape))
    output.replace_all_uses_with(value)
    if integers.dtype != np.int32:
        scales[value] = fixed
    changes.fates[node.name or ""] = Fate(FOLDED, None, f"Its integers are float constant {name} again.")


def _detached(node: ir.Node) -> ir.Node:
    for index in range(len(node.inputs)):
        node.replace_input_with(index, None)
    return node


def _restore_pair(
    graph: ir.Graph, quantizer: ir.Node, node: ir.Node, changes: Changes, scales: dict[ir.Value, FixedScale]
) -> None:
    before, after = _parameters(quantizer), _parameters(node)
    source, output = quantizer.inputs[0], node.outputs[0]
    if before != after:
        raise UnsupportedModelError(
            f"QuantizeLinear {quantizer.name!r} and DequantizeLinear {node.name!r} have different scales or zero "
            f"points, so the pair changes values. {_WAY_OUT}"
        )
    if source is None:
        return
    if output.is_graph_output():
        return _restore_output(graph, quantizer, node, changes, scales)
    output.replace_all_uses_with(source)
    graph.remove(node, safe=True)
    writer = source.producer()
    into = writer.name if writer is not None else None
    why = "Quantization that came with the model; its scale is kept as fixed."
    changes.renamed[output.name or ""] = source.name or ""
    changes.fates[node.name or ""] = Fate(FOLDED, into, why)
    scales.setdefault(source, before)
    _remove_if_unread(graph, quantizer, Fate(FOLDED, into, why), changes)
    return None
