"""Lift a model to opset 21, or keep its own if that is higher.

Opset 21 is the first whose QuantizeLinear knows 16 bit, and one opset means one form per operator for everything that
follows.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import version_converter

from search.errors import UnsupportedModelError
from search.graph.conversion_gaps import flatten_hardmax, place_old_resizes
from search.graph.limits import opset_of
from search.graph.naming import name_converted, name_nodes
from search.graph.spelling import hide_runtime_operators, show_runtime_operators
from search.graph.weights import join_weights, split_weights

WORKING_OPSET = 21
_WORKING_IR = 10  # what opset 21 came with


@dataclass(frozen=True, slots=True, eq=False)
class Lifted:
    """A converted model and what it was converted from and to."""

    proto: onnx.ModelProto
    from_opset: int
    to_opset: int


def lift(model: onnx.ModelProto) -> Lifted:
    """Return ``model`` at opset 21 or higher, every node named, inputs and outputs the same.

    1. Nodes keep the names of ``naming.user_names``; nodes that the conversion adds are named after those.
    2. Initializers are no inputs in the result.

    Args:
        model: Without local functions (the converter passes those over). Not changed.

    Raises:
        UnsupportedModelError: If an operator cannot be converted.
    """
    opset = opset_of(model)
    parts = split_weights(model)
    light = parts.light
    name_nodes(light.graph)
    light.ir_version = max(light.ir_version, _WORKING_IR)
    if opset >= WORKING_OPSET:
        # what the runtime alone knows stays: its meaning has no version
        return Lifted(join_weights(light, parts.weights), opset, opset)
    flatten_hardmax(light.graph, opset)
    hide_runtime_operators(light, opset)
    writers = {name: node.name for node in light.graph.node for name in node.output if name}
    try:
        converted = version_converter.convert_version(light, WORKING_OPSET)
    except (RuntimeError, version_converter.ConvertError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UnsupportedModelError(
            f"The model cannot be brought from opset {opset} to {WORKING_OPSET}: {reason}. "
            f"Export it again at opset {WORKING_OPSET}."
        ) from error
    show_runtime_operators(converted)
    place_old_resizes(light.graph, converted.graph, opset)
    _check_interface(light, converted)
    name_converted(converted.graph, writers)
    converted.ir_version = light.ir_version
    return Lifted(join_weights(converted, parts.weights), opset, WORKING_OPSET)


def _check_interface(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Check that names and types of inputs and outputs are what they were."""
    for side in ("input", "output"):
        old, new = (
            [(value.name, value.type.tensor_type.elem_type) for value in getattr(model.graph, side)]
            for model in (before, after)
        )
        if old != new:
            raise UnsupportedModelError(
                f"Converting the model to opset {WORKING_OPSET} changed its {side}s from {old} to {new}. "
                f"Export it again at opset {WORKING_OPSET}."
            )
