"""Compute what depends on constants only, once, by running it.

Round by round: take the nodes whose inputs are all constants or outputs of such nodes, infer the sizes of their outputs
before anything is allocated, run those that stay within the limits, and keep the outputs as initializers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
import onnx_ir as ir

from search.arrays import Array
from search.graph.notes import FOLDED, Changes, Fate, Note

#: Runs a model on named arrays and returns its outputs by name. Raises a ``SearchError`` where it cannot.
Evaluate = Callable[[onnx.ModelProto, Mapping[str, Array]], dict[str, Array]]

QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldLimits:
    """Bytes that folding may add: per tensor and in all."""

    tensor_bytes: int = 64 * 2**20
    total_bytes: int = 256 * 2**20


def fold_constants(
    model: ir.Model, evaluate: Evaluate, *, keep: frozenset[str] = frozenset(), limits: FoldLimits | None = None
) -> Changes:
    """Replace nodes of the main graph that depend on constants only by initializers.

    1. Left alone: random operators, nodes with subgraphs, operators in ``keep``, strings, sequences, nodes without
       inputs, outputs of the graph.
    2. Left alone with a note: what exceeds the limits, or whose size is not known before it runs.
    3. Initializers that nobody reads any more are removed at the end by ``remove_unused``.
    """
    limits = limits or FoldLimits()
    changes = Changes()
    budget = limits.total_bytes
    while True:
        candidates = _candidates(model.graph, keep)
        chosen = _within(model, candidates, min(limits.tensor_bytes, budget), budget)
        if not chosen:
            break
        results = evaluate(ir.to_proto(_part(model, chosen)), {})
        budget -= sum(array.nbytes for array in results.values())
        for node in chosen:
            changes.fates[node.name or ""] = Fate(FOLDED, None, "Computed from constants when the model is read.")
        _replace(model.graph, chosen, results)
    if candidates:
        names = tuple(node.name or "" for node in candidates)
        text = f"{len(names)} nodes depend on constants only, but are too large or of unknown size to be computed once."
        changes.notes.append(Note("constants-not-folded", text, names))
    return changes


def _candidates(graph: ir.Graph, keep: frozenset[str]) -> list[ir.Node]:
    """Nodes that depend on constants only, in graph order."""
    constant = {value for value in graph.initializers.values() if not value.is_graph_input()}
    found = []
    for node in graph:
        inputs = [value for value in node.inputs if value is not None]
        if _foldable(node, keep) and inputs and all(value in constant for value in inputs):
            found.append(node)
            constant.update(node.outputs)
    return found


def _foldable(node: ir.Node, keep: frozenset[str]) -> bool:
    if node.op_type in _RANDOM or node.op_type in keep or any(value.is_graph_output() for value in node.outputs):
        return False
    graphs = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return not any(attribute.type in graphs for attribute in node.attributes.values())


def _within(model: ir.Model, nodes: list[ir.Node], tensor_bytes: int, total_bytes: int) -> list[ir.Node]:
    """The candidates whose outputs are known to be small enough, and that need no other candidate."""
    if not nodes:
        return []
    part = ir.to_proto(_part(model, nodes))
    try:
        inferred = onnx.shape_inference.infer_shapes(part, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        return []
    sizes = {info.name: _n_bytes(info) for info in (*inferred.graph.value_info, *inferred.graph.output)}
    chosen: list[ir.Node] = []
    dropped: set[ir.Value] = set()
    for node in nodes:
        bytes_of = [sizes.get(value.name or "") for value in node.outputs if value.name]
        fits = all(size is not None and size <= tensor_bytes for size in bytes_of)
        needed = sum(size or 0 for size in bytes_of)
        if fits and needed <= total_bytes and not any(value in dropped for value in node.inputs):
            total_bytes -= needed
            chosen.append(node)
        else:
            dropped.update(node.outputs)
    return chosen


def _n_bytes(info: onnx.ValueInfoProto) -> int | None:
    kind = info.type.tensor_type
    if not kind.HasField("shape") or kind.elem_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return None
    if not all(size.HasField("dim_value") for size in kind.shape.dim):
        return None
    itemsize = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).itemsize
    return int(itemsize * prod(size.dim_value for size in kind.shape.dim))


def _part(model: ir.Model, nodes: list[ir.Node]) -> ir.Model:
    """A model of copies of ``nodes``, with the constants they read, whose outputs are all they write."""
    copies: dict[ir.Value, ir.Value] = {}
    initializers = []
    for node in nodes:
        for value in node.inputs:
            if value is not None and value not in copies and value.is_initializer():
                copies[value] = ir.Value(
                    name=value.name, shape=value.shape, type=value.type, const_value=value.const_value
                )
                initializers.append(copies[value])
        for value in node.outputs:
            copies[value] = ir.Value(name=value.name, type=value.type)
    graph = ir.Graph(
        [],
        [copies[value] for node in nodes for value in node.outputs if value.name],
        nodes=[
            ir.Node(
                node.domain,
                node.op_type,
                [None if value is None else copies[value] for value in node.inputs],
                list(node.attributes.values()),
                outputs=[copies[value] for value in node.outputs],
                name=node.name,
            )
            for node in nodes
        ],
        initializers=initializers,
        opset_imports=model.opset_imports,
        name="constants",
    )
    return ir.Model(graph, ir_version=model.ir_version)


def _replace(graph: ir.Graph, nodes: list[ir.Node], results: Mapping[str, Array]) -> None:
    outputs = [value for node in nodes for value in node.outputs if value.name]
    graph_nodes = set(nodes)
    for value in outputs:
        name = value.name or ""
        array = np.array(results[name], order="C")
        tensor = ir.tensor(array, name=name)
        constant = ir.Value(
            name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor
        )
        if any(use.node not in graph_nodes for use in value.uses()):
            graph.register_initializer(constant)
        value.replace_all_uses_with(constant)
    graph.remove(nodes, safe=True)
