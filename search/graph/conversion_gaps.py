"""What the opset converter of the onnx package gets wrong, mended before and after it.

- **Hardmax** below opset 13 looks at all axes from ``axis`` on together; the converter keeps the node, which then looks
  at one axis.
- **Upsample and Resize** below opset 11 place samples at ``x / scale``; the converter leaves the coordinates to the
  default of opset 11, half a pixel away.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from search.errors import UnsupportedModelError

_COERCED_UNTIL = 12
_ASYMMETRIC_UNTIL = 10
_SAFE = 1e-6


def flatten_hardmax(graph: onnx.GraphProto, opset: int) -> None:
    """Write ``Hardmax(x, axis)`` of an old opset as ``Reshape(Hardmax(Flatten(x, axis)), Shape(x))``, in place.

    Args:
        graph: Main graph, every node named.
        opset: That it is written in; from 13 on nothing is done.
    """
    if opset > _COERCED_UNTIL or not any(node.op_type == "Hardmax" and not node.domain for node in graph.node):
        return
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes += _flat_hardmax(node) if node.op_type == "Hardmax" and not node.domain else [node]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _flat_hardmax(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    source, result, name = node.input[0], node.output[0], node.name
    flat, chosen, shape = (f"{result}/{part}" for part in ("flat", "chosen", "shape"))
    return [
        helper.make_node("Flatten", [source], [flat], name=f"{name}/Flatten", axis=axis),
        helper.make_node("Hardmax", [flat], [chosen], name=name, axis=1),
        helper.make_node("Shape", [source], [shape], name=f"{name}/Shape"),
        helper.make_node("Reshape", [chosen, shape], [result], name=f"{name}/Reshape"),
    ]


def place_old_resizes(before: onnx.GraphProto, after: onnx.GraphProto, opset: int) -> None:
    """Give every Resize of ``after`` that was an Upsample or Resize of ``before`` its old coordinates, in place.

    Args:
        before: Graph at ``opset``.
        after: The same graph converted; values keep their names.
        opset: From 11 on nothing is done.

    Raises:
        UnsupportedModelError: If it picks the nearest value with scales that are computed, or both above and below 1:
            no form of opset 11 or later does.
    """
    if opset > _ASYMMETRIC_UNTIL:
        return
    old = {node.output[0]: node for node in before.node if node.op_type in ("Upsample", "Resize")}
    constants = {tensor.name: tensor for tensor in before.initializer}
    for node in before.node:
        if node.op_type == "Constant":
            constants.update((node.output[0], a.t) for a in node.attribute if a.name == "value")
    for node in after.node:
        if node.op_type == "Resize" and node.output[0] in old:
            _place(node, old[node.output[0]], constants)


def _place(node: onnx.NodeProto, old: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> None:
    kept = [a for a in node.attribute if a.name not in ("coordinate_transformation_mode", "nearest_mode")]
    kept = [onnx.AttributeProto.FromString(a.SerializeToString()) for a in kept]
    mode = next((a.s.decode() for a in old.attribute if a.name == "mode"), "nearest")
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("coordinate_transformation_mode", "asymmetric")])
    if mode == "nearest":
        node.attribute.append(helper.make_attribute("nearest_mode", _nearest_mode(old, constants)))


def _nearest_mode(old: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> str:
    """The runtime cuts off where it enlarges and rounds up where it shrinks."""
    scales = _scales(old, constants)
    if scales is None or ((scales < 1 - _SAFE).any() and (scales > 1 + _SAFE).any()):
        raise UnsupportedModelError(
            f"{old.op_type} {old.name!r} of opset 10 or earlier picks the nearest value with scales that are computed, "
            "or both above and below 1; later opsets have no such form. Export the model at opset 11 or later."
        )
    return "ceil" if (scales < 1 - _SAFE).any() else "floor"


def _scales(
    old: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None:
    given = next((a.floats for a in old.attribute if a.name == "scales"), None)
    if given is not None:
        return np.asarray(list(given), np.float64)
    tensor = constants.get(old.input[1]) if len(old.input) > 1 else None
    return None if tensor is None else numpy_helper.to_array(tensor).astype(np.float64)
