"""Work of an operator per sample: multiply-accumulates and output elements.

Conv ``out * C_in/g * prod(kernel)``; ConvTranspose ``in * C_out/g * prod(kernel)``; Gemm and MatMul ``out * K``;
LSTM ``dirs * T * 4H * (I + H)``, GRU with 3 instead of 4, RNN with 1; Einsum the product of all index sizes. All other
operators have none.
"""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from search.graph.operators import attribute_int, attribute_text

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
    sizes = [shape_of(value, shapes) for value in node.inputs]
    if node.op_type in ("LSTM", "GRU", "RNN"):
        return _recurrent(sizes[0], sizes[1], sizes[2])
    if node.op_type == "ConvTranspose":
        return prod(sizes[0]) * prod(sizes[1][1:])
    if node.op_type == "Einsum":
        return _einsum(attribute_text(node, "equation", ""), sizes)
    return prod(shape_of(node.outputs[0], shapes)) * _depth(node, sizes) if node.outputs else 0


def _depth(node: ir.Node, sizes: list[tuple[int, ...]]) -> int:
    """Products summed for one output element."""
    if node.op_type in ("Conv", "DeformConv"):
        return prod(sizes[1][1:])
    if node.op_type == "Gemm":
        return sizes[0][0 if attribute_int(node, "transA", 0) else 1]
    return sizes[0][-1] if node.op_type == "MatMul" else 0


def _recurrent(data: tuple[int, ...], weight: tuple[int, ...], recurrence: tuple[int, ...]) -> int:
    """``data`` is [T, N, I] or [N, T, I], ``weight`` [dirs, gates * H, I], ``recurrence`` [dirs, gates * H, H]."""
    return data[0] * data[1] * (prod(weight) + prod(recurrence))


def _einsum(equation: str, sizes: list[tuple[int, ...]]) -> int:
    """Product of the sizes of all indices, the way of a loop over them; nothing for a single operand."""
    terms = equation.replace(" ", "").split("->")[0].split(",")
    if len(sizes) < 2 or len(terms) != len(sizes):
        return 0
    index: dict[str, int] = {}
    for term, shape in zip(terms, sizes, strict=True):
        before, _, after = term.partition("...")
        n_open = len(shape) - len(before) - len(after)
        names = [*before, *(f"...{i - n_open}" for i in range(n_open)), *after]
        for name, size in zip(names, shape, strict=True):
            index[name] = max(size, index.get(name, 1))
    return prod(index.values())


def elements_of(node: ir.Node, shapes: Shapes) -> int:
    """Output elements of ``node`` for the traced shapes."""
    return sum(prod(shape_of(value, shapes)) for value in node.outputs if value.name)
