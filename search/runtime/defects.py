"""Which rewrites of the runtime's optimizer must stay off, and why.

- **Rewrites of constants** scale or add constants into weights, or move them past each other. Where float tensors carry
  integers that destroys them.
- **MatmulTransposeFusion** looks through a Cast between a Transpose and a MatMul. If the Transpose moves
  other axes than the last two, the process dies while the model is loaded (onnxruntime 1.31.1, any types). In float64
  it also makes a product that has no CPU kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx

REWRITES_OF_CONSTANTS = (
    "ConvAddFusion",
    "ConvBNFusion",
    "ConvMulFusion",
    "DivMulFusion",
    "DoubleQDQPairsRemover",
    "MatMulAddFusion",
    "MatMulScaleFusion",
    "MatmulBNFusion",
)
TRANSPOSE_FUSION = "MatmulTransposeFusion"


def has_cast_between_transpose_and_product(model: onnx.ModelProto) -> bool:
    """Whether a MatMul reads a Cast that reads a Transpose, anywhere in ``model``; functions are not looked into."""
    return any(_has_it(graph) for graph in _graphs(model.graph))


def _has_it(graph: onnx.GraphProto) -> bool:
    transposed = {node.output[0] for node in graph.node if node.op_type == "Transpose"}
    cast = {node.output[0] for node in graph.node if node.op_type == "Cast" and node.input[0] in transposed}
    return any(name in cast for node in graph.node if node.op_type == "MatMul" for name in node.input)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            inner: Sequence[onnx.GraphProto] = [attribute.g] if attribute.HasField("g") else attribute.graphs
            for one in inner:
                yield from _graphs(one)
