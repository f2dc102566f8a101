"""What a pass asks of values and does to them: read a constant, add one, take a node without effect out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from search.graph.naming import unique_name
from search.graph.notes import FOLDED, PASS_THROUGH, Changes, Fate

Array = npt.NDArray[np.generic]


def constant_array(value: ir.Value | None) -> Array | None:
    """Return the array of an initializer, else None. Do not write into it."""
    if value is None or not value.is_initializer() or value.const_value is None:
        return None
    array: Array = value.const_value.numpy()
    return array


def known_shape(value: ir.Value | None) -> tuple[int | None, ...] | None:
    """Return sizes, None where open; None if not even their number is known."""
    if value is None:
        return None
    shape = value.shape if value.shape is not None else (value.const_value.shape if value.const_value else None)
    return None if shape is None else tuple(size if isinstance(size, int) else None for size in shape)


def value_names(graph: ir.Graph) -> set[str]:
    """Names of all values of ``graph`` and its subgraphs."""
    names = {value.name or "" for value in (*graph.inputs, *graph.initializers.values())}
    for node in ir.traversal.RecursiveGraphIterator(graph):
        names.update(value.name or "" for value in node.outputs)
        for inner in (value.graph for value in node.inputs if value is not None):
            if inner is not None and inner is not graph:
                names.update(inner.initializers)
    return names


def add_constant(graph: ir.Graph, wanted: str, array: Array) -> ir.Value:
    """Register ``array`` as initializer ``wanted`` (or ``wanted#2``, ...) and return it."""
    name = unique_name(wanted, value_names(graph))
    tensor = ir.tensor(np.ascontiguousarray(array), name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


def drop_unread_initializers(graph: ir.Graph) -> None:
    """Remove initializers that no node reads, also not from a subgraph."""
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]


def bypass(node: ir.Node, source: ir.Value, *, why: str) -> Changes | None:
    """Let readers of ``node``'s first output read ``source``, which is equal to it, and remove ``node``.

    1. The output is no graph output: its readers read ``source``.
    2. It is one: ``source`` takes over its name, unless ``source`` is itself an input, output or constant of the
       graph. Then the node stays and None is returned.
    """
    graph, output = node.graph, node.outputs[0]
    if graph is None or any(extra.uses() or extra.is_graph_output() for extra in node.outputs[1:]):
        return None
    is_output = output.is_graph_output()
    writer = source.producer()
    if is_output and (writer is None or writer.graph is not graph or source.is_graph_output()):
        return None
    if source.shape is None:
        source.shape = output.shape
    if source.type is None:
        source.type = output.type
    old, new = output.name or "", source.name or ""
    output.replace_all_uses_with(source, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    changes = Changes()
    if is_output:
        source.name = old
        changes.renamed[new] = old
    else:
        changes.renamed[old] = new
    role = FOLDED if writer is None and source.is_initializer() else PASS_THROUGH
    changes.fates[node.name or ""] = Fate(role, writer.name if writer is not None else None, why)
    return changes
