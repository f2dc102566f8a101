"""A convolution whose bias is computed becomes one without a bias and an Add behind it.

Chips take a bias as a constant of the convolution; one that another operator writes is an operand like any other.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from search.graph.notes import Changes
from search.graph.values import Scope, constant_array, known_shape


def split_computed_bias(graph: ir.Graph) -> Changes:
    """Rewrite every Conv and ConvTranspose of the main graph whose bias is no constant.

    ``Conv(x, W, b)`` becomes ``Conv(x, W)`` under its name, ``Reshape(b, [C, 1, ..])`` and ``Add``, named after it; the
    Add writes the value the Conv wrote. Where the rank is not known the node is left alone.
    """
    scope = Scope.of(graph)
    for node in list(graph):
        if node.op_type in ("Conv", "ConvTranspose") and node.domain == "" and len(node.inputs) > 2:
            bias, rank = node.inputs[2], _rank(node)
            if bias is not None and rank is not None and constant_array(bias) is None:
                _split(scope, node, bias, rank)
    return Changes()


def _rank(node: ir.Node) -> int | None:
    for value in (node.inputs[1], node.inputs[0], node.outputs[0]):
        shape = None if value is None else known_shape(value)
        if shape is not None:
            return len(shape)
    return None


def _split(scope: Scope, node: ir.Node, bias: ir.Value, rank: int) -> None:
    name, output = node.name or "", node.outputs[0]
    sizes = scope.add_constant(f"{name}/bias_shape", np.array([-1, *[1] * (rank - 2)], np.int64))
    laid = ir.Node("", "Reshape", [bias, sizes], name=scope.node_name(f"{name}/bias_shape"))
    laid.outputs[0].name = scope.value_name(f"{name}/bias_laid")
    laid.outputs[0].type = bias.type
    value_name = output.name
    add = ir.Node("", "Add", [output, laid.outputs[0]], name=scope.node_name(f"{name}/bias"))
    node.replace_input_with(2, None)
    scope.graph.insert_after(node, [laid, add])
    written = add.outputs[0]
    written.shape, written.type = output.shape, output.type
    output.replace_all_uses_with(written, replace_graph_outputs=True)
    add.replace_input_with(0, output)
    output.name = scope.value_name(f"{value_name}/without_bias")
    written.name = value_name
