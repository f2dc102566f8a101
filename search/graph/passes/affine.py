"""Fold factors and addends per channel behind a gemm into its weights: BatchNormalization written out.

``Conv -> Sub(mean) -> Mul(factor) -> Add(beta)`` is what frameworks without the operator export; Div and other orders
occur, and so does a factor behind a matrix product and its bias (LayerScale). Each step is ``factor * x + shift`` per
output channel, as a BatchNormalization is.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from search.arrays import Array
from search.graph.notes import Changes
from search.graph.operators import attribute_int
from search.graph.passes.batch_norm import FOLDS, Affine, own_weight, rounded, take_output, wide
from search.graph.patterns.match import only_reader
from search.graph.values import Scope, constant_array, known_shape

_STEPS = frozenset({"Add", "Sub", "Mul", "Div"})


def fold_affine_steps(graph: ir.Graph) -> Changes:
    """Fold every Add, Sub, Mul and Div of a constant right behind a gemm with constant weights.

    1. Gemms are Conv, ConvTranspose and Gemm; and a MatMul with a constant matrix on the right, with or without the
       Add of its bias.
    2. The constant is one number or one per output channel; the value between has no other reader and is no output.
    3. An Add behind a gemm without bias stays where nothing is folded with it: it is the bias already.
    4. Left alone: a Div by 0, a constant divided by the value, float types other than float32.
    """
    changes = Changes()
    scope = Scope.of(graph)
    for node in list(graph):
        gemm = _gemm_before(node)
        if gemm is None or not _is_worth(gemm, node):
            continue
        affine = _affine(gemm, node)
        fold = _fold_product if _product(gemm) is not None else FOLDS[gemm.op_type]
        folded = fold(scope, gemm, node, affine) if affine is not None else None
        if folded is not None:
            changes.add(folded)
    return changes


def _gemm_before(node: ir.Node) -> ir.Node | None:
    if node.op_type not in _STEPS or node.domain != "" or node.outputs[0].dtype is not ir.DataType.FLOAT:
        return None
    for index, value in enumerate(node.inputs):
        writer = value.producer() if value is not None else None
        if value is None or writer is None or not _is_gemm(writer) or writer.graph is not node.graph:
            continue
        has_constant = len(node.inputs) == 2 and constant_array(node.inputs[1 - index]) is not None
        return writer if has_constant and only_reader(value) is node else None
    return None


def _is_gemm(node: ir.Node) -> bool:
    """Whether the node is a gemm, or the Add of a bias behind a MatMul."""
    return node.domain == "" and (node.op_type in ("Conv", "ConvTranspose", "Gemm") or _product(node) is not None)


def _product(node: ir.Node) -> ir.Node | None:
    """The MatMul that ``node`` is, or whose bias it adds."""
    if node.op_type == "MatMul":
        return node
    if node.op_type != "Add":
        return None
    writers = [value.producer() for value in node.inputs if value is not None]
    return next((one for one in writers if one is not None and one.op_type == "MatMul"), None)


def _fold_product(scope: Scope, gemm: ir.Node, node: ir.Node, affine: Affine) -> Changes | None:
    """Fold into the matrix of a MatMul, and into the bias where ``gemm`` is its Add."""
    product = _product(gemm)
    weight = wide(product.inputs[1]) if product is not None else None
    if product is None or weight is None:
        return None
    changes = Changes()
    if gemm is not product:
        index = 1 if gemm.inputs[0] is product.outputs[0] else 0
        bias = wide(gemm.inputs[index])
        if bias is None or bias.size not in (1, affine.factor.size) or only_reader(product.outputs[0]) is not gemm:
            return None
        if bias.ndim > 1 and bias.shape[-1] != bias.size:
            return None  # one number per row, not per column
        added = bias.reshape(-1) * affine.factor + affine.shift
        changes.add(own_weight(scope, gemm, index, rounded(added, node, affine)))
    if (affine.factor != 1).any():
        changes.add(own_weight(scope, product, 1, rounded(weight * affine.factor, node, affine)))
    changes.add(take_output(scope, gemm, node))
    return changes


def _is_worth(gemm: ir.Node, node: ir.Node) -> bool:
    """Whether folding removes an operator: a lone Add is the bias of a gemm that has none."""
    if node.op_type not in ("Add", "Sub"):
        return True
    has_bias = gemm.op_type == "Add" or (len(gemm.inputs) > 2 and gemm.inputs[2] is not None)
    following = only_reader(node.outputs[0])
    is_followed = (
        following is not None and following.op_type in ("Sub", "Mul", "Div") and _constant_of(following) is not None
    )
    return has_bias or (is_followed and gemm.op_type != "MatMul")


def _constant_of(node: ir.Node) -> Array | None:
    return next((array for value in node.inputs if (array := constant_array(value)) is not None), None)


def _affine(gemm: ir.Node, node: ir.Node) -> Affine | None:
    """``node`` as a factor and an addend for each output channel of ``gemm``; None where it is none."""
    is_first = node.inputs[0] is gemm.outputs[0]
    constant, channels, shape = _constant_of(node), _channels(gemm), known_shape(gemm.outputs[0])
    if constant is None or channels is None or shape is None or (node.op_type == "Div" and not is_first):
        return None
    axis = 1 if gemm.op_type in ("Conv", "ConvTranspose") else len(shape) - 1
    padded = (1,) * (len(shape) - constant.ndim) + constant.shape
    if len(padded) != len(shape) or any(size != 1 and (i != axis or size != channels) for i, size in enumerate(padded)):
        return None
    numbers = np.broadcast_to(constant.astype(np.float64).reshape(-1), (channels,)).copy()
    ones, zeros = np.ones(channels), np.zeros(channels)
    if node.op_type == "Div" and not numbers.all():
        return None
    factor, shift = {
        "Add": (ones, numbers),
        "Sub": (ones, -numbers) if is_first else (-ones, numbers),
        "Mul": (numbers, zeros),
        "Div": (1.0 / np.where(numbers == 0, 1.0, numbers), zeros),
    }[node.op_type]
    return Affine(factor, shift, np.dtype(np.float32))


def _channels(gemm: ir.Node) -> int | None:
    """Number of output channels of constant weights."""
    product = _product(gemm)
    weight = constant_array((product or gemm).inputs[1])
    if weight is None or (product is not None and weight.ndim != 2):
        return None
    if gemm.op_type == "ConvTranspose":
        return int(weight.shape[1]) * attribute_int(gemm, "group", 1)
    is_first = gemm.op_type == "Conv" or (gemm.op_type == "Gemm" and attribute_int(gemm, "transB", 0) == 1)
    return int(weight.shape[0 if is_first else 1])
