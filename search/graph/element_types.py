"""Element types nothing here can hold: refused by name before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from search.errors import UnsupportedModelError
from search.graph.walk import bodies, node_name, tensors

_WAYS_OUT = {
    "BFLOAT16": "The runtime has no CPU kernels for it. Export the model in float32 or float16.",
    "INT": "Integers below 8 bit are quantized weights already. Give the float model they were made from.",
    "FLOAT": "The model is quantized already, to floats below 16 bit. Give the float model it was made from.",
    "COMPLEX": "Only real numbers can be quantized. Export the model with real and imaginary part apart.",
}


def check_element_types(model: onnx.ModelProto) -> None:
    """Check every tensor, value and Cast of ``model``, those in subgraphs and functions included.

    Raises:
        UnsupportedModelError: If a type is bfloat16, complex, or has fewer than 8 bits.
    """
    for where, kind in _kinds(model):
        way_out = _way_out(kind)
        if way_out is not None:
            name = TensorProto.DataType.Name(kind).lower()
            raise UnsupportedModelError(f"{where} is of type {name}, which cannot be evaluated here. {way_out}")


def _way_out(kind: int) -> str | None:
    """What to do about an element type; None where it is one of those that can be held, or unknown."""
    if kind not in TensorProto.DataType.values():
        return None
    name = TensorProto.DataType.Name(kind)
    is_narrow = name.lstrip("U").startswith(("INT2", "INT4")) or name.startswith(("FLOAT4", "FLOAT8"))
    is_refused = is_narrow or name.startswith(("BFLOAT16", "COMPLEX"))
    return next(text for start, text in _WAYS_OUT.items() if name.lstrip("U").startswith(start)) if is_refused else None


def _kinds(model: onnx.ModelProto) -> Iterator[tuple[str, int]]:
    for where, tensor in tensors(model):
        yield where, tensor.data_type
    for body in bodies(model):
        graph = body.graph
        values = (*graph.input, *graph.output, *graph.value_info) if isinstance(graph, onnx.GraphProto) else ()
        for value in values:
            yield f"Value {value.name!r} of {body.where}", value.type.tensor_type.elem_type
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name in ("to", "output_dtype", "dtype") and attribute.i:
                    yield f"The result of {node.op_type} {node_name(node)!r}", attribute.i
