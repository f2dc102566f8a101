"""Fold BatchNormalization into the gemm before it, or write it as Mul and Add.

``y = gamma * (x - mean) / sqrt(var + eps) + beta = factor * x + shift`` per channel (axis 1), with
``factor = gamma / sqrt(var + eps)`` and ``shift = beta - mean * factor``, computed in float64 and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from search.arrays import Array, DType
from search.errors import InvalidModelError
from search.graph.notes import FOLDED, Changes, Fate, Note
from search.graph.operators import attribute_int
from search.graph.patterns.match import only_reader
from search.graph.values import Scope, constant_array, known_shape

_Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """``factor * x + shift``, one number per channel each, and the type they are stored in."""

    factor: _Float64
    shift: _Float64
    dtype: DType


def fold_batch_norms(graph: ir.Graph) -> Changes:
    """Fold every BatchNormalization of the main graph that can be folded.

    1. ``BN(Conv(x))``, ``BN(ConvTranspose(x))``, ``BN(Gemm(x))``, ``BN(MatMul(x, W))``, ``BN(Add(MatMul(x, W), b))``
       with constant weights, the value between having no other reader and being no graph output: the weights are
       scaled per output channel, the bias becomes ``bias * factor + shift``. MatMul only where its output is a matrix:
       elsewhere axis 1 is not its output channel.
    2. The gemm keeps its name and takes over the name of the output value. A MatMul without bias gets its Add from the
       BatchNormalization, which keeps its name.
    3. Weights that other nodes read too are copied first, with a note.
    4. Left alone: training mode, statistics that are not constant, anything else before it (``rewrite_batch_norms``).
    """
    changes = Changes()
    scope = Scope.of(graph)
    for node in list(graph):
        affine = _affine(node)
        source = node.inputs[0] if node.inputs else None
        writer = source.producer() if source is not None else None
        if affine is None or source is None or writer is None or only_reader(source) is not node:
            continue
        fold = FOLDS.get(writer.op_type)
        if fold is not None and writer.domain == "" and writer.graph is graph:
            folded = fold(scope, writer, node, affine)
            if folded is not None:
                changes.add(folded)
    return changes


def rewrite_batch_norms(graph: ir.Graph) -> Changes:
    """Write every BatchNormalization that is left as ``Mul`` (keeps the name) and ``Add`` (``<name>/shift``).

    Left alone with a note: training mode, statistics that are not constant, an input of unknown rank.
    """
    changes = Changes()
    scope = Scope.of(graph)
    for node in list(graph):
        if node.op_type != "BatchNormalization":
            continue
        affine, shape = _affine(node), known_shape(node.inputs[0])
        if affine is None or shape is None:
            text = f"BatchNormalization {node.name!r} is in training mode, or its statistics or rank are not constant."
            changes.notes.append(Note("batch-norm-kept", text, (node.name or "",)))
            continue
        _rewrite(scope, node, affine, len(shape))
    return changes


def _affine(node: ir.Node) -> Affine | None:
    if node.op_type != "BatchNormalization" or node.domain != "" or attribute_int(node, "training_mode", 0):
        return None
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        return None
    arrays = [constant_array(value) for value in node.inputs[1:5]]
    if any(array is None for array in arrays):
        return None
    gamma, beta, mean, var = (np.asarray(array, np.float64) for array in arrays)
    epsilon = node.attributes.get("epsilon")
    variance = var + (1e-5 if epsilon is None else epsilon.as_float())
    if (variance <= 0).any():
        raise InvalidModelError(
            f"BatchNormalization {node.name!r} has variance + epsilon <= 0 in {int((variance <= 0).sum())} channels, "
            "which has no square root. Check the training run."
        )
    factor = gamma / np.sqrt(variance)
    source = node.inputs[0]
    dtype = source.dtype.numpy() if source is not None and source.dtype is not None else np.dtype(np.float32)
    return Affine(factor, beta - mean * factor, dtype)


def _fold_conv(scope: Scope, conv: ir.Node, node: ir.Node, affine: Affine) -> Changes | None:
    weight = wide(conv.inputs[1])
    bias = constant_array(conv.inputs[2]) if len(conv.inputs) > 2 and conv.inputs[2] is not None else 0.0
    if weight is None or bias is None:
        return None
    factor = affine.factor
    if conv.op_type == "Conv":
        scaled = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    else:  # [in, out / groups, ...]: output channel g * (out / groups) + m belongs to the inputs of group g
        groups = attribute_int(conv, "group", 1)
        split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        per_group = factor.reshape(groups, 1, -1, *[1] * (weight.ndim - 2))
        scaled = (split * per_group).reshape(weight.shape)
    return _merge(scope, conv, node, rounded(scaled, node, affine), _bias(bias, node, affine))


def _fold_gemm(scope: Scope, gemm: ir.Node, node: ir.Node, affine: Affine) -> Changes | None:
    weight = wide(gemm.inputs[1])
    bias = constant_array(gemm.inputs[2]) if len(gemm.inputs) > 2 and gemm.inputs[2] is not None else np.zeros(1)
    if weight is None or bias is None or bias.size not in (1, affine.factor.size):
        return None
    if bias.ndim == 2 and bias.shape[0] != 1:
        return None  # one value per row, not per column
    beta = gemm.attributes.get("beta")
    scaled_bias = bias.reshape(-1).astype(np.float64) * (1.0 if beta is None else beta.as_float())
    factor = affine.factor[:, None] if attribute_int(gemm, "transB", 0) else affine.factor[None, :]
    gemm.attributes["beta"] = ir.AttrFloat32("beta", 1.0)
    return _merge(scope, gemm, node, rounded(weight * factor, node, affine), _bias(scaled_bias, node, affine))


def _fold_matmul(scope: Scope, matmul: ir.Node, node: ir.Node, affine: Affine) -> Changes | None:
    """``BN(MatMul(x, W))``: the node of the BatchNormalization becomes the Add of the shift."""
    weight = wide(matmul.inputs[1])
    shape = known_shape(matmul.outputs[0])
    if weight is None or weight.ndim != 2 or shape is None or len(shape) != 2:
        return None
    changes = own_weight(scope, matmul, 1, rounded(weight * affine.factor[None, :], node, affine))
    bias = scope.add_constant(f"{node.name}/shift", _bias(0.0, node, affine))
    _become(scope, node, ir.Node("", "Add", [matmul.outputs[0], bias], name=node.name))
    return changes


def _fold_add(scope: Scope, add: ir.Node, node: ir.Node, affine: Affine) -> Changes | None:
    """``BN(Add(MatMul(x, W), b))`` with either order of the Add's inputs."""
    for index in (0, 1):
        product, bias = add.inputs[index], constant_array(add.inputs[1 - index])
        matmul = product.producer() if product is not None else None
        if product is None or bias is None or matmul is None or matmul.op_type != "MatMul":
            continue
        weight, shape = wide(matmul.inputs[1]), known_shape(product)
        if only_reader(product) is not add or weight is None or weight.ndim != 2 or shape is None or len(shape) != 2:
            return None
        if bias.size not in (1, affine.factor.size) or (bias.ndim == 2 and bias.shape[0] != 1) or bias.ndim > 2:
            return None
        changes = own_weight(scope, matmul, 1, rounded(weight * affine.factor[None, :], node, affine))
        changes.add(own_weight(scope, add, 1 - index, _bias(bias.reshape(-1).astype(np.float64), node, affine)))
        changes.add(take_output(scope, add, node))
        return changes
    return None


FOLDS = {
    "Conv": _fold_conv,
    "ConvTranspose": _fold_conv,
    "Gemm": _fold_gemm,
    "MatMul": _fold_matmul,
    "Add": _fold_add,
}


def wide(value: ir.Value | None) -> _Float64 | None:
    """Return a constant in float64; None if it is none."""
    array = constant_array(value)
    return None if array is None else array.astype(np.float64)


def _bias(bias: Array | float, node: ir.Node, affine: Affine) -> Array:
    return rounded(np.asarray(bias, np.float64) * affine.factor + affine.shift, node, affine)


def rounded(values: _Float64, node: ir.Node, affine: Affine) -> Array:
    """Round once to the type of the network.

    Raises:
        InvalidModelError: If it does not hold a value.
    """
    with np.errstate(over="ignore"):
        narrow: Array = values.astype(affine.dtype)
    if not np.isfinite(narrow).all():
        raise InvalidModelError(
            f"{node.op_type} {node.name!r} scales weights beyond {affine.dtype.name} (largest: "
            f"{np.abs(values).max():.3g}). Check its constants."
        )
    return narrow


def _merge(scope: Scope, gemm: ir.Node, node: ir.Node, weight: Array, bias: Array) -> Changes:
    changes = own_weight(scope, gemm, 1, weight)
    gemm.resize_inputs(3)
    changes.add(own_weight(scope, gemm, 2, bias))
    changes.add(take_output(scope, gemm, node))
    return changes


def own_weight(scope: Scope, node: ir.Node, index: int, array: Array) -> Changes:
    """Give ``node`` a constant of its own at input ``index``; the old one goes if nobody else reads it."""
    old = node.inputs[index]
    changes = Changes()
    name = (old.name if old is not None else None) or f"{node.name}/bias"
    if old is not None and (len(old.uses()) > 1 or old.is_graph_output()):
        text = f"{node.op_type} {node.name!r} shares {name!r} with other nodes; it has its own copy after folding."
        changes.notes.append(Note("shared-weights-copied", text, (node.name or "",)))
        name = f"{node.name}/{name}"
    elif old is not None:
        node.replace_input_with(index, None)
        scope.remove_constant(name)
    node.replace_input_with(index, scope.add_constant(name, array))
    return changes


def take_output(scope: Scope, gemm: ir.Node, node: ir.Node) -> Changes:
    """Let ``gemm`` write what ``node`` wrote, under the same value name, and remove ``node``."""
    inner, output = gemm.outputs[0], node.outputs[0]
    name = output.name
    inner.shape = inner.shape if output.shape is None else output.shape
    output.replace_all_uses_with(inner, replace_graph_outputs=True)
    scope.graph.remove(node, safe=True)
    inner.name = name
    return Changes(fates={node.name or "": Fate(FOLDED, gemm.name, f"Folded into {gemm.op_type} {gemm.name}.")})


def _rewrite(scope: Scope, node: ir.Node, affine: Affine, rank: int) -> None:
    name = node.name or ""
    per_channel = (-1, *[1] * (rank - 2))
    factor = scope.add_constant(f"{name}/factor", rounded(affine.factor.reshape(per_channel), node, affine))
    shift = scope.add_constant(f"{name}/shift", rounded(affine.shift.reshape(per_channel), node, affine))
    mul = ir.Node("", "Mul", [node.inputs[0], factor], name=name)
    mul.outputs[0].name = f"{name}/scaled"
    mul.outputs[0].shape, mul.outputs[0].type = node.outputs[0].shape, node.outputs[0].type
    scope.graph.insert_before(node, mul)
    _become(scope, node, ir.Node("", "Add", [mul.outputs[0], shift], name=scope.node_name(f"{name}/shift")))


def _become(scope: Scope, node: ir.Node, replacement: ir.Node) -> None:
    """Put ``replacement`` in the place of ``node``; its output is the same value to every reader."""
    old, new = node.outputs[0], replacement.outputs[0]
    scope.graph.insert_before(node, replacement)
    name = old.name
    new.shape, new.type = old.shape, old.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    scope.graph.remove(node, safe=True)
    new.name = name
