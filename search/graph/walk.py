"""Visit every graph and every tensor of an ONNX protobuf, subgraphs and local functions included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx


@dataclass(frozen=True, slots=True)
class Body:
    """One list of nodes: the main graph, a subgraph or a local function.

    Attributes:
        where: For messages, e.g. ``"graph"`` or ``"If 'choose' / then_branch"``.
        depth: 1 for the main graph and for a function, one more per subgraph.
        graph: The graph or function.
    """

    where: str
    depth: int
    graph: onnx.GraphProto | onnx.FunctionProto

    @property
    def initializers(self) -> Iterable[onnx.TensorProto]:
        """Its initializers; a function has none."""
        return self.graph.initializer if isinstance(self.graph, onnx.GraphProto) else ()


def bodies(model: onnx.ModelProto) -> Iterator[Body]:
    """Yield the main graph, the functions, and every subgraph of them."""
    stack = [Body(f"function {f.domain}.{f.name}", 1, f) for f in reversed(model.functions)]
    stack.append(Body("graph", 1, model.graph))
    while stack:
        body = stack.pop()
        yield body
        for node in body.graph.node:
            for name, graph in subgraphs(node):
                stack.append(Body(f"{node.op_type} {node.name!r} / {name}", body.depth + 1, graph))


def subgraphs(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.GraphProto]]:
    """Yield the graphs that are attributes of ``node`` with the attribute's name."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.name, attribute.g
        for graph in attribute.graphs:
            yield attribute.name, graph


def tensors(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Yield every tensor that holds data, with words that say where it is."""
    for body in bodies(model):
        for tensor in body.initializers:
            yield f"Initializer {tensor.name!r}", tensor
        for node in body.graph.node:
            for attribute in node.attribute:
                where = f"Attribute {attribute.name!r} of {node.op_type} {node_name(node)!r}"
                if attribute.HasField("t"):
                    yield where, attribute.t
                for tensor in attribute.tensors:
                    yield where, tensor


def node_name(node: onnx.NodeProto) -> str:
    """Name of a node for messages: its own, else its first output's."""
    return node.name or next((name for name in node.output if name), "")
