"""Move Transposes and Reshapes behind what computes value by value, so that a gemm stands beside its bias.

Exporters of channels-last frameworks write ``Conv -> Transpose -> Add -> Relu -> Transpose -> Conv``, and a dense layer
over more than two axes as ``Reshape -> MatMul -> Reshape -> Add``.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from search.arrays import Array
from search.graph.notes import Changes
from search.graph.patterns.match import only_reader
from search.graph.values import Scope, bypass, constant_array, known_shape

_MOVED_BEHIND = {
    "Transpose": frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"}),
    "Reshape": frozenset({"Gemm", "MatMul"}),
}
_ALONE = frozenset({"Relu", "Clip"})
_WITH_CONSTANT = frozenset({"Add", "Sub", "Mul", "Div"})


def sink_moves(graph: ir.Graph) -> Changes:
    """Rewrite the main graph.

    1. A Transpose behind a gemm whose only reader is a Relu, a Clip, or an Add, Sub, Mul or Div with a constant
       changes places with it; the constant is transposed back. Repeated as far as it goes.
    2. So does a Reshape behind a Gemm or MatMul that keeps the last axis, with constants of one number per place
       on that axis.
    3. A Transpose that undoes the one before it: readers read what stood before both.
    """
    changes = Changes()
    scope = Scope.of(graph)
    for node in list(graph):
        if _writer_type(node) in _MOVED_BEHIND.get(node.op_type, ()):
            while _swap(scope, node):
                pass
    for node in list(graph):
        before = node.inputs[0].producer() if node.op_type == "Transpose" and node.inputs[0] is not None else None
        if before is None or before.op_type != "Transpose" or before.inputs[0] is None:
            continue
        first, second = _order(before), _order(node)
        if first is not None and second is not None and [first[i] for i in second] == list(range(len(first))):
            removed = bypass(node, before.inputs[0], why=f"Undoes Transpose {before.name}.")
            if removed is not None:
                changes.add(removed)
    return changes


def _writer_type(node: ir.Node) -> str:
    writer = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    return writer.op_type if writer is not None and writer.domain == "" else ""


def _order(node: ir.Node) -> list[int] | None:
    given = node.attributes.get("perm")
    return None if given is None else list(given.as_ints())


def _swap(scope: Scope, move: ir.Node) -> bool:
    """Let the only reader of ``move`` compute before it; say whether it could."""
    source, moved = move.inputs[0], move.outputs[0]
    reader = only_reader(moved)
    if source is None or reader is None or reader.domain != "" or only_reader(source) is not move:
        return False
    inputs = _inputs_before(scope, move, reader, source)
    if inputs is None:
        return False
    first = ir.Node("", reader.op_type, inputs, list(reader.attributes.values()), name=reader.name)
    result, inner = reader.outputs[0], first.outputs[0]
    name = result.name
    inner.name, inner.shape, inner.type = scope.value_name(f"{name}/inner"), source.shape, source.type
    scope.graph.insert_before(move, first)
    move.replace_input_with(0, inner)
    result.replace_all_uses_with(moved, replace_graph_outputs=True)
    moved.shape, moved.type = result.shape, result.type
    scope.graph.remove(reader, safe=True)
    moved.name = name
    return True


def _inputs_before(scope: Scope, move: ir.Node, reader: ir.Node, source: ir.Value) -> list[ir.Value | None] | None:
    """What ``reader`` reads in front of ``move``; None where it cannot stand there."""
    inputs: list[ir.Value | None] = list(reader.inputs)
    index = next(i for i, value in enumerate(inputs) if value is move.outputs[0])
    inputs[index] = source
    if reader.op_type in _ALONE:
        return inputs if index == 0 else None
    array = constant_array(inputs[1 - index]) if reader.op_type in _WITH_CONSTANT and len(inputs) == 2 else None
    back = None if array is None else _back(move, array)
    if back is None:
        return None
    inputs[1 - index] = scope.add_constant(f"{reader.name}/constant", back)
    return inputs


def _back(move: ir.Node, array: Array) -> Array | None:
    """A constant that broadcasts against what ``move`` writes, against what it reads; None where there is none."""
    if array.size == 1:
        return array.reshape(())
    if move.op_type == "Reshape":
        before, after = known_shape(move.inputs[0]), known_shape(move.outputs[0])
        is_kept = before and after and before[-1] == after[-1] == array.size == array.shape[-1]
        return array.reshape(-1) if is_kept else None
    order = _order(move)
    if order is None or array.ndim > len(order):
        return None
    whole = array.reshape((1,) * (len(order) - array.ndim) + array.shape)
    return np.ascontiguousarray(whole.transpose(np.argsort(order)))
