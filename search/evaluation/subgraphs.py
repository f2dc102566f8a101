"""What the bodies of If, Loop and Scan read from the graph around them, and how they read it under another name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx


def outer_reads(node: onnx.NodeProto) -> frozenset[str]:
    """Names that the subgraphs of ``node`` read and do not define themselves."""
    found: set[str] = set()
    for graph in _graphs(node):
        inside = {name for inner in graph.node for name in inner.input} | {value.name for value in graph.output}
        for inner in graph.node:
            inside |= outer_reads(inner)
        found |= inside - _own(graph)
    return frozenset(found - {""})


def rename_outer(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Let the subgraphs of ``node``, in place, read the outer value ``names[x]`` where they read ``x``."""
    for graph in _graphs(node):
        own = _own(graph)
        visible = {name: new for name, new in names.items() if name not in own}
        for inner in graph.node:
            for index, name in enumerate(inner.input):
                if name in visible:
                    inner.input[index] = visible[name]
            rename_outer(inner, visible)


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def _own(graph: onnx.GraphProto) -> set[str]:
    """Names a subgraph defines."""
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    return own.union(name for node in graph.node for name in node.output)
