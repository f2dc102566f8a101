"""Gemm without alpha and beta, and with one bias per column: the form that every tool reads the same way.

Tools disagree on a Gemm whose ``alpha`` or ``beta`` is not 1, or whose bias is one number: some fold the factors twice,
some not at all. Where the constants they scale are known, the factors are multiplied into them once.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from search.graph.notes import Changes
from search.graph.operators import attribute_int
from search.graph.passes.batch_norm import own_weight
from search.graph.values import Scope, constant_array


def fold_gemm_factors(graph: ir.Graph) -> Changes:
    """Rewrite the Gemm nodes of the main graph.

    1. ``alpha`` goes into a constant ``B``, else into a constant ``A``; between two activations it stays.
    2. ``beta`` goes into a constant ``C``.
    3. A constant ``C`` of one number, or of shape ``[1, N]``, becomes ``[N]`` where ``N`` is known from a constant
       ``B``.
    4. What would leave float32 is left alone. Products are rounded once.
    """
    changes, scope = Changes(), Scope.of(graph)
    for node in graph:
        if node.op_type == "Gemm" and node.domain == "":
            changes.add(_fold_alpha(scope, node))
            changes.add(_settle_bias(scope, node))
    return changes


def _fold_alpha(scope: Scope, node: ir.Node) -> Changes:
    alpha = _factor(node, "alpha")
    side = next((index for index in (1, 0) if constant_array(node.inputs[index]) is not None), None)
    if alpha == 1 or side is None:
        return Changes()
    return _scaled(scope, node, side, alpha, "alpha")


def _settle_bias(scope: Scope, node: ir.Node) -> Changes:
    bias = constant_array(node.inputs[2]) if len(node.inputs) > 2 else None
    if bias is None:
        return Changes()
    beta, changes = _factor(node, "beta"), Changes()
    if beta != 1:
        changes.add(_scaled(scope, node, 2, beta, "beta"))
        bias = constant_array(node.inputs[2])
    columns = _columns(node)
    if bias is None or columns is None or bias.shape == (columns,) or bias.size not in (1, columns):
        return changes
    if bias.size == columns and bias.shape != (1, columns):
        return changes  # one number per row
    flat = np.broadcast_to(bias.reshape(-1), (columns,))
    changes.add(own_weight(scope, node, 2, flat))
    return changes


def _scaled(scope: Scope, node: ir.Node, index: int, factor: float, attribute: str) -> Changes:
    array = constant_array(node.inputs[index])
    assert array is not None
    with np.errstate(over="ignore"):
        scaled = (array.astype(np.float64) * factor).astype(array.dtype)
    if not np.isfinite(scaled[np.isfinite(array)]).all():
        return Changes()
    node.attributes[attribute] = ir.AttrFloat32(attribute, 1.0)
    return own_weight(scope, node, index, scaled)


def _factor(node: ir.Node, name: str) -> float:
    attribute = node.attributes.get(name)
    return 1.0 if attribute is None else float(attribute.as_float())


def _columns(node: ir.Node) -> int | None:
    weight = constant_array(node.inputs[1])
    return None if weight is None else int(weight.shape[0 if attribute_int(node, "transB", 0) else 1])
