"""The normal form of a model: opset 21 or higher, constants and BatchNorm folded, nodes under the user's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from search.graph.data_free import no_tensors
from search.graph.load import UserModel
from search.graph.naming import name_nodes
from search.graph.notes import FOLDED, Changes, Fate, Note
from search.graph.opset import lift
from search.graph.passes.affine import fold_affine_steps
from search.graph.passes.batch_norm import fold_batch_norms, rewrite_batch_norms
from search.graph.passes.bounds import write_bounds_as_clips
from search.graph.passes.computed_bias import split_computed_bias
from search.graph.passes.conditions import is_decided, take_known_branches
from search.graph.passes.constants import lift_constants
from search.graph.passes.einsum import write_einsums_as_products
from search.graph.passes.fold_constants import QUANTIZERS, Evaluate, fold_constants
from search.graph.passes.functions import inline_functions
from search.graph.passes.gemm_factors import fold_gemm_factors
from search.graph.passes.moves import sink_moves
from search.graph.passes.no_effect import drop_no_effect
from search.graph.passes.unused import remove_unused
from search.graph.quantized_input import FixedScale, FixedScales, restore_float
from search.graph.repeatable import check_repeatable
from search.graph.values import parse_model, value_names
from search.graph.weights import split_weights

_GEMM_OPERATORS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"})


@dataclass(eq=False, kw_only=True)
class Prepared:
    """A model in normal form.

    Attributes:
        model: Opset 21 or higher. Constants are initializers and no inputs. Every node of the main graph has a name
            of its own: the user's where the user had it.
        user_nodes: Name and operator of every node of the user's graph, in its order.
        fates: What became of user's nodes that are not in ``model``; ``into`` names a node of ``model`` or is None.
        value_names: User's value name -> name of the equal value in ``model``, where it lives on under another name.
        fixed: Scales that came with a quantized model.
        was_quantized: Whether Q/DQ nodes were removed; ``model`` then computes the float network, not the user's.
        notes: Findings of reading and of every pass.
    """

    model: ir.Model
    user_nodes: dict[str, str]
    fates: dict[str, Fate]
    value_names: dict[str, str]
    fixed: FixedScales
    was_quantized: bool
    notes: tuple[Note, ...]


def prepare(user: UserModel, evaluate: Evaluate) -> Prepared:
    """Bring a model into normal form; ``user`` is not changed.

    1. Names; local functions expanded; opset lifted.
    2. Constants become initializers and are folded, quantization that came with the model is taken out.
    3. Nodes without effect and unused nodes go; an Einsum becomes the product it is; BatchNormalization is folded, else
       written as Mul and Add; alpha and beta of Gemm go into its constants; the computed bias of a convolution becomes
       an Add; bounds become Clips.

    Args:
        user: As read.
        evaluate: Runs a small ONNX model of constants; see ``fold_constants.Evaluate``.

    Raises:
        UnsupportedModelError: If the opset cannot be lifted, or the model computes on integers or draws random numbers.
    """
    parts = split_weights(user.proto)
    user_nodes = dict(
        zip(name_nodes(parts.light.graph), (node.op_type for node in parts.light.graph.node), strict=True)
    )
    if all(node.domain in ("", "ai.onnx") for node in parts.light.graph.node):
        del parts.light.graph.value_info[:]  # sizes are inferred; those in files are often stale
    light, changes = inline_functions(parts.light)
    lifted = lift(light)
    model = _with_weights(lifted.proto, parts.weights)
    if lifted.from_opset != lifted.to_opset:
        text = f"Converted from opset {lifted.from_opset} to {lifted.to_opset}."
        changes.notes.append(Note("opset-converted", text))
    changes.add(_lost_in_conversion(model.graph, light))
    changes.add(lift_constants(model))
    _infer_shapes(model)
    folded = fold_constants(model, evaluate, keep=QUANTIZERS)
    restored = restore_float(model.graph)
    imported = [(value, value.name or "", fixed) for value, fixed in restored.scales.items()]
    later = _simplify(model, evaluate, are_sizes_known=not (folded.modified or restored.changes.modified))
    for one in (folded, restored.changes, later):
        changes.add(one)
    check_repeatable(model.graph)
    return Prepared(
        model=model,
        user_nodes=user_nodes,
        fates=_settled_fates(changes, user_nodes, model.graph),
        value_names=_value_names(changes, model.graph),
        fixed=_fixed_scales(model.graph, imported, later),
        was_quantized=restored.changes.modified,
        notes=(*user.notes, *changes.notes, *_shared_weights(model.graph)),
    )


def simplify_again(prepared: Prepared, evaluate: Evaluate) -> bool:
    """Simplify further where folding shapes has decided conditions; say whether there was any.

    Args:
        prepared: Changed in place, if so.
        evaluate: As for ``prepare``.
    """
    graph = prepared.model.graph
    if not any(is_decided(node) for node in graph):
        return False
    changes = _simplify(prepared.model, evaluate, are_sizes_known=True)
    for name, fate in prepared.fates.items():
        changes.fates.setdefault(name, fate)
    prepared.fates = _settled_fates(changes, prepared.user_nodes, graph)
    earlier = {old: changes.value_now(now) for old, now in prepared.value_names.items()}
    left = value_names(graph)
    prepared.value_names = {old: now for old, now in {**_value_names(changes, graph), **earlier}.items() if now in left}
    prepared.fixed = FixedScales(
        *(
            {now: fixed for name, fixed in scales.items() if (now := changes.value_now(name)) in left}
            for scales in (prepared.fixed.activations, prepared.fixed.weights)
        )
    )
    prepared.notes = (*prepared.notes, *changes.notes)
    return True


_PASSES = (
    write_einsums_as_products,
    drop_no_effect,
    remove_unused,
    sink_moves,
    remove_unused,
    fold_gemm_factors,
    split_computed_bias,
    fold_batch_norms,
    fold_affine_steps,
    write_bounds_as_clips,
    rewrite_batch_norms,
    remove_unused,
)


def _simplify(model: ir.Model, evaluate: Evaluate, *, are_sizes_known: bool) -> Changes:
    """Everything after quantization is out of the way. Sizes are inferred again only where something changed."""
    changes = fold_constants(model, evaluate)
    if changes.modified or not are_sizes_known:
        _infer_shapes(model)
    while (taken := take_known_branches(model.graph)).modified:
        changes.add(taken)
        changes.add(fold_constants(model, evaluate))
        _infer_shapes(model)
    later, n_nodes = Changes(), len(model.graph)
    for one in _PASSES:
        later.add(one(model.graph))
    if later.modified or len(model.graph) != n_nodes:
        _infer_shapes(model)
    changes.add(later)
    return changes


def _with_weights(light: onnx.ModelProto, weights: Mapping[str, onnx.TensorProto]) -> ir.Model:
    """Parse ``light`` and turn the inputs that stand for ``weights`` back into initializers, without a copy."""
    model = parse_model(light)
    graph = model.graph
    for value in [value for value in graph.inputs if value.name in weights]:
        graph.inputs.remove(value)
        value.const_value = ir.serde.deserialize_tensor(weights[value.name or ""])
        graph.register_initializer(value)
    return model


def _infer_shapes(model: ir.Model) -> None:
    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    for value in no_tensors(model.graph):
        value.type, value.shape = None, None  # the pass takes a sequence for its element


def _lost_in_conversion(graph: ir.Graph, before: onnx.ModelProto) -> Changes:
    """Fates of nodes that the opset conversion replaced by others."""
    left = {node.name for node in graph}
    writers = {value.name: node.name for node in graph for value in node.outputs}
    changes = Changes()
    for node in before.graph.node:
        if node.name not in left:
            into = next((writers[name] for name in node.output if name in writers), None)
            changes.fates[node.name] = Fate(FOLDED, into, "Replaced when the opset was converted.")
    return changes


def _settled_fates(changes: Changes, user_nodes: dict[str, str], graph: ir.Graph) -> dict[str, Fate]:
    """Fates of user's nodes in their order, with ``into`` only where that node exists."""
    left = {node.name for node in graph}
    fates = {name: changes.fate_now(name) for name in user_nodes if name in changes.fates and name not in left}
    return {n: fate if fate.into in left else Fate(fate.role, None, fate.why) for n, fate in fates.items()}


def _value_names(changes: Changes, graph: ir.Graph) -> dict[str, str]:
    """Old names of values that are still there, but not values that went with a folded BatchNormalization."""
    left = value_names(graph)
    now = {name: changes.value_now(name) for name in changes.renamed}
    return {name: later for name, later in now.items() if later in left and name not in left}


def _fixed_scales(graph: ir.Graph, imported: list[tuple[ir.Value, str, FixedScale]], later: Changes) -> FixedScales:
    """Imported scales of values that still are what they were."""
    activations, weights = {}, {}
    computed = {value.name: value for value in graph.inputs}
    computed.update({value.name: value for node in graph for value in node.outputs})
    for value, name, fixed in imported:
        now = later.value_now(name)
        if graph.initializers.get(now) is value:
            weights[now] = fixed
        elif now in computed:
            activations[now] = fixed
    return FixedScales(activations, weights)


def _shared_weights(graph: ir.Graph) -> list[Note]:
    """Weights that several gemms read: a shared module, whose calls may need different scales."""
    notes = []
    for name, value in graph.initializers.items():
        readers = Counter(use.node.name or "" for use in value.uses() if use.node.op_type in _GEMM_OPERATORS)
        if len(readers) > 1 and value.const_value is not None and value.const_value.size > 1:
            names = tuple(sorted(readers))
            text = f"{len(names)} operators share the weights {name!r}: {', '.join(names[:5])}."
            notes.append(Note("shared-weights", text, names))
    return notes
