"""Values that depend on shapes only, and whether the batch size shows in them.

Exporters write ``sqrt(head_dim)`` or a slice bound as a chain of Shape, Gather, Cast, ... . Such a value is the same in
every run with the same input shapes. Where it is the same for one sample and for two, it is a constant and takes the
place of its chain.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx_ir as ir

from search.arrays import Array
from search.graph.data_free import data_free_values
from search.graph.values import Scope

MAX_BYTES = 64 * 2**20  # a larger value stays computed: folding it would bloat every copy of the model


def shape_values(graph: ir.Graph, given: Collection[str] = ()) -> tuple[str, ...]:
    """Names of values that depend on shapes only and are read by something that depends on data (or are outputs).

    Args:
        graph: The model.
        given: Inputs that have one value for all samples, and count as shapes do.
    """
    free = data_free_values(graph, given)
    return tuple(
        value.name or ""
        for node in graph
        for value in node.outputs
        if value in free and (value.is_graph_output() or any(not _is_free(use.node, free) for use in value.uses()))
    )


def fold_shape_values(graph: ir.Graph, runs: Sequence[Mapping[str, Array]]) -> tuple[str, ...]:
    """Turn shape values that are equal in all ``runs`` into initializers.

    1. Equal means same type, shape and bits in every run; the runs differ in batch size where the model allows it.
    2. Graph outputs and values above ``MAX_BYTES`` stay.
    3. Nodes nobody reads any more are removed.

    Returns:
        Names of the removed nodes.
    """
    scope = Scope.of(graph)
    values = {value.name: value for node in graph for value in node.outputs}
    for name, array in runs[0].items():
        value = values[name]
        if value.is_graph_output() or array.nbytes > MAX_BYTES or not all(_equal(array, run[name]) for run in runs[1:]):
            continue
        value.replace_all_uses_with(scope.add_constant(f"{name}/folded", array))
    return _remove_unread(graph)


def _is_free(node: ir.Node, free: set[ir.Value]) -> bool:
    return all(value in free for value in node.outputs)


def _equal(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _remove_unread(graph: ir.Graph) -> tuple[str, ...]:
    removed: list[str] = []
    for node in reversed(list(graph)):
        if all(not value.uses() and not value.is_graph_output() for value in node.outputs):
            removed.append(node.name or "")
            graph.remove(node, safe=True)
    return tuple(reversed(removed))
