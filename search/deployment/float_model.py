"""``ort_float.onnx``: the float model whose names every other file uses, at the opset of the measured Q/DQ model."""

from __future__ import annotations

import onnx

from search.deployment.deployment import Deployment
from search.graph.limits import opset_of
from search.graph.lower_opset import at_opset

FLOAT_MODEL = "ort_float.onnx"
QDQ_MODEL = "model.qdq.onnx"


def float_model(deployment: Deployment) -> onnx.ModelProto:
    """Return the float model; where it cannot be said at the opset of the Q/DQ model, at its own."""
    graph = onnx.load_from_string(deployment.graph)
    lowered = at_opset(graph, opset_of(onnx.load_from_string(deployment.quantized)))
    return graph if lowered is None else lowered
