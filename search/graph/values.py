"""What a pass asks of values and does to them: read a constant, add one, take a node without effect out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from search.arrays import Array
from search.errors import InvalidModelError
from search.graph.naming import unique_name
from search.graph.notes import FOLDED, PASS_THROUGH, Changes, Fate


def parse_model(proto: onnx.ModelProto) -> ir.Model:
    """Parse a protobuf into the graph library's form, sharing its tensors.

    Raises:
        InvalidModelError: If it holds what ONNX does not allow.
    """
    try:
        return ir.from_proto(proto)
    except ir.serde.SerdeError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise InvalidModelError(f"The model is not valid ONNX: {reason}. Export it again.") from error


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


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A graph that is being changed, with the names it uses, so that a new name costs no walk through it."""

    graph: ir.Graph
    values: set[str]
    nodes: set[str]

    @staticmethod
    def of(graph: ir.Graph) -> Scope:
        """Collect the names of ``graph``."""
        return Scope(graph, value_names(graph), {node.name or "" for node in graph})

    def value_name(self, wanted: str) -> str:
        """Take ``wanted``, or ``wanted#2``, ... if a value is called so."""
        name = unique_name(wanted, self.values)
        self.values.add(name)
        return name

    def node_name(self, wanted: str) -> str:
        """Take ``wanted``, or ``wanted#2``, ... if a node is called so."""
        name = unique_name(wanted, self.nodes)
        self.nodes.add(name)
        return name

    def add_constant(self, wanted: str, array: Array) -> ir.Value:
        """Register ``array`` as an initializer and return it."""
        name = self.value_name(wanted)
        tensor = ir.tensor(np.array(array, order="C"), name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        self.graph.register_initializer(value)
        return value

    def remove_constant(self, name: str) -> None:
        """Remove an initializer and free its name."""
        del self.graph.initializers[name]
        self.values.discard(name)


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
