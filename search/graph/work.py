"""Work of an operator per sample: multiply-accumulates and output elements.

Conv ``out * C_in/g * prod(kernel)``; ConvTranspose ``in * C_out/g * prod(kernel)``; Gemm and MatMul ``out * K``;
LSTM ``dirs * T * 4H * (I + H)``, GRU with 3 instead of 4. All other operators have none.
"""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from search.graph.operators import attribute_int

Shapes = dict[str, tuple[int, ...]]


def shape_of(value: ir.Value | None, shapes: Shapes) -> tuple[int, ...]:
    """Traced shape of a value, or that of the constant it is; empty where unknown."""
    if value is None:
        return ()
    if value.const_value is not None:
        return tuple(value.const_value.shape.numpy())
    return shapes.get(value.name or "", ())


def macs_of(node: ir.Node, shapes: Shapes) -> int:
    """Multiply-accumulates of ``node`` for the traced shapes (the whole traced batch)."""
    data = shape_of(node.inputs[0], shapes) if node.inputs else ()
    out = shape_of(node.outputs[0], shapes)
    if node.op_type == "Conv":
        return prod(out) * prod(shape_of(node.inputs[1], shapes)[1:])
    if node.op_type == "ConvTranspose":
        return prod(data) * prod(shape_of(node.inputs[1], shapes)[1:])
    if node.op_type == "Gemm":
        return prod(out) * data[0 if attribute_int(node, "transA", 0) else 1]
    if node.op_type == "MatMul":
        return prod(out) * data[-1]
    if node.op_type in ("LSTM", "GRU"):
        _, gates, n_inputs = shape_of(node.inputs[1], shapes)
        dirs, _, hidden = shape_of(node.inputs[2], shapes)
        return dirs * data[0] * data[1] * gates * (n_inputs + hidden)
    return 0


def elements_of(node: ir.Node, shapes: Shapes) -> int:
    """Output elements of ``node`` for the traced shapes."""
    return sum(prod(shape_of(value, shapes)) for value in node.outputs if value.name)
