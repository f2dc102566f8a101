"""Take the data of large initializers out of a model and put it back.

The tools of the onnx package (checker, version converter, shape inference) serialize what they are given, so a model of
100 MB costs 0.6 s and two copies each time. Without its weights it costs milliseconds: large initializers become
graph inputs of the same type and shape meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto

_KEEP_BYTES = 1024  # shapes, axes and scales stay: the tools look at their values


@dataclass(frozen=True, slots=True, eq=False)
class SplitModel:
    """A model without the data of its large initializers.

    Attributes:
        light: The model; initializers that are also inputs are inputs no longer (they could only be overridden).
        weights: The initializers that were taken out, by name. They are inputs of ``light``, after its own.
    """

    light: onnx.ModelProto
    weights: dict[str, TensorProto]


def split_weights(model: onnx.ModelProto) -> SplitModel:
    """Return ``model`` without large weights; ``model`` itself is left alone and lends its tensors."""
    light = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name == "graph":
            continue
        if field.is_repeated:
            getattr(light, field.name).extend(value)
        else:
            setattr(light, field.name, value)
    light.ClearField("training_info")
    # from IR version 4 on, initializers need not be inputs
    light.ir_version = max(light.ir_version, 8)
    graph = model.graph
    light.graph.name = graph.name or "graph"
    light.graph.node.extend(graph.node)
    light.graph.output.extend(graph.output)
    light.graph.value_info.extend(graph.value_info)
    names = {tensor.name for tensor in graph.initializer}
    light.graph.input.extend(value for value in graph.input if value.name not in names)
    weights = {t.name: t for t in graph.initializer if t.ByteSize() > _KEEP_BYTES}
    light.graph.initializer.extend(t for t in graph.initializer if t.name not in weights)
    light.graph.input.extend(
        onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in weights.values()
    )
    return SplitModel(light, weights)


def join_weights(light: onnx.ModelProto, weights: dict[str, TensorProto]) -> onnx.ModelProto:
    """Return a copy of ``light`` with the weights back in place."""
    whole = onnx.ModelProto()
    whole.CopyFrom(light)
    inputs = [value for value in light.graph.input if value.name not in weights]
    del whole.graph.input[:]
    whole.graph.input.extend(inputs)
    whole.graph.initializer.extend(weights.values())
    return whole
