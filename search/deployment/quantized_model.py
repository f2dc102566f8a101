"""The measured Q/DQ model as vendors' tools recognise it: a Q/DQ pair right in front of what reads it.

In ``model.qdq.onnx`` a copy (a Sum of one value) may stand behind a rounded value, which keeps the optimizers of ONNX
Runtime from turning operators into integer kernels of their own. Other tools look for the pair itself.
"""

from __future__ import annotations

import onnx

from search.deployment.deployment import Deployment
from search.evaluation.subgraphs import rename_outer


def quantized_model(deployment: Deployment) -> onnx.ModelProto:
    """Return the Q/DQ model without the copies that were put in for ONNX Runtime; it computes the same."""
    model = onnx.load_from_string(deployment.quantized)
    graph, outputs = model.graph, {value.name for value in model.graph.output}
    source: dict[str, str] = {}
    kept = []
    for node in graph.node:
        is_copy = node.op_type == "Sum" and len(node.input) == 1 and node.name not in deployment.node_types
        if is_copy and node.output[0] not in outputs:
            source[node.output[0]] = source.get(node.input[0], node.input[0])
        else:
            kept.append(node)
    for node in kept:
        for position, name in enumerate(node.input):
            node.input[position] = source.get(name, name)
        rename_outer(node, source)
    del graph.node[:]
    graph.node.extend(kept)
    return model
