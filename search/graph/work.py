"""Work of an operator per sample: multiply-accumulates and output elements.

Conv ``out * C_in/g * prod(kernel)``; ConvTranspose ``in * C_out/g * prod(kernel)``; Gemm and MatMul ``out * K``;
LSTM ``dirs * T * 4H * (I + H)``, GRU with 3 instead of 4, RNN with 1; Einsum the product of all index sizes; the fused
operators of ONNX Runtime as what they join. An If has the work of its heavier branch, a Loop or Scan that of its body
times its steps. All other operators have none.
"""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from search.graph.data_free import own_bodies
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
    if node.op_type == "Attention":
        return prod(sizes[0]) * sizes[1][-1]
    return prod(shape_of(node.outputs[0], shapes)) * _depth(node, sizes) if node.outputs else 0


def _depth(node: ir.Node, sizes: list[tuple[int, ...]]) -> int:
    """Products summed for one output element."""
    if node.op_type in ("Conv", "DeformConv", "FusedConv"):
        return prod(sizes[1][1:])
    if node.op_type in ("Gemm", "FusedGemm"):
        return sizes[0][0 if attribute_int(node, "transA", 0) else 1]
    if node.op_type == "FusedMatMul":
        return sizes[0][-2 if attribute_int(node, "transA", 0) else -1]
    return sizes[0][-1] if node.op_type in ("MatMul", "MatMulNBits") else 0


def macs_in_bodies(node: ir.Node, shapes: Shapes, batch: int) -> int:
    """Multiply-accumulates per sample inside the subgraphs of ``node``.

    Inside, sizes are those the model declares or shape inference found; a size that is open counts as one sample, and
    a node whose sizes are not known at all as one use of its largest constant. The work is thus a lower bound.

    Args:
        node: Any node.
        shapes: Traced shapes of the values around it.
        batch: Samples of the traced run.
    """
    works = [sum(_inside(inner, shapes, batch) for inner in body) for body in own_bodies(node)]
    if not works:
        return 0
    return max(works) if node.op_type == "If" else sum(works) * _steps(node, shapes)


def _steps(node: ir.Node, shapes: Shapes) -> int:
    """How often a body runs; 1 where only the data can say."""
    if node.op_type == "Loop" and node.inputs[0] is not None and node.inputs[0].const_value is not None:
        return max(1, int(node.inputs[0].const_value.numpy().reshape(-1)[0]))
    if node.op_type == "Scan":
        n_states = len(node.inputs) - attribute_int(node, "num_scan_inputs", 1)
        return (shape_of(node.inputs[n_states], shapes) or (1,))[0]
    return 1


def _inside(node: ir.Node, shapes: Shapes, batch: int) -> int:
    values = [value for value in (*node.inputs, *node.outputs) if value is not None]
    sized = {value.name or "": _declared(value, shapes) for value in values}
    deeper = macs_in_bodies(node, shapes, batch)
    try:
        work = macs_of(node, sized)
    except IndexError:  # the rank of an input is not known
        constants = (prod(shape_of(value, {})) for value in node.inputs if value is not None and value.const_value)
        return max(constants, default=0) + deeper
    has_whole_batch = all(value.shape is None or value.shape.is_static() for value in node.outputs)
    return (max(1, work // batch) if work and has_whole_batch else work) + deeper


def _declared(value: ir.Value, shapes: Shapes) -> tuple[int, ...]:
    traced = shape_of(value, shapes)
    if traced or value.shape is None:
        return traced
    return tuple(size if isinstance(size, int) else 1 for size in value.shape)


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
