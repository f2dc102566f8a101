"""Refuse models that draw random numbers: the same input has another answer each time, so nothing can be measured."""

from __future__ import annotations

import onnx_ir as ir

from search.errors import UnsupportedModelError
from search.graph.values import constant_array

RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)


def check_repeatable(graph: ir.Graph) -> None:
    """Check that no node of ``graph`` or its subgraphs draws random numbers.

    A Dropout draws in training mode, unless it drops nothing.

    Raises:
        UnsupportedModelError: If one does; names it.
    """
    for node in ir.traversal.RecursiveGraphIterator(graph):
        if node.domain != "":
            continue
        if node.op_type in RANDOM:
            raise UnsupportedModelError(
                f"{node.op_type} {node.name!r} draws random numbers: the same input has another answer each time, so "
                "no accuracy can be measured. Export the model with these numbers as an input."
            )
        if _drops(node):
            raise UnsupportedModelError(
                f"{node.op_type} {node.name!r} is in training mode: it drops random values, so the same input has "
                "another answer each time. Export the model in evaluation mode (model.eval())."
            )


def _drops(node: ir.Node) -> bool:
    if node.op_type != "Dropout" or len(node.inputs) < 3:
        return False
    ratio, mode = (constant_array(value) for value in node.inputs[1:3])
    return mode is not None and bool(mode.any()) and (ratio is None or bool(ratio.any()))
