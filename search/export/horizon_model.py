"""``horizon/model.onnx`` and ``horizon/model.qdq.onnx``: the two models Horizon's PTQ tools can begin with.

The first is the float model with the names that ``quant_config.json`` uses; the tools calibrate it. The second holds
the scales of the search as Q/DQ pairs, for ``calibration_type: load``. HMCT's documents name ONNX opset 10 to 19, its
compiler's front end 9 to 20, so both are written at the lowest opset that says the same. 16 bit have no standard
QuantizeLinear below opset 21: these pairs stand in the domain ``com.microsoft``, as ONNX Runtime's own quantizer writes
them; which of the two spellings HMCT reads is not public.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from search.deployment.deployment import Deployment
from search.deployment.quantized_model import quantized_model
from search.evaluation.subgraphs import rename_outer
from search.graph.limits import opset_of
from search.graph.lower_opset import lowest_opset

FLOAT_MODEL = "horizon/model.onnx"
LOADED_MODEL = "horizon/model.qdq.onnx"
HIGHEST_OPSET = 19
"""What HMCT's documents name as the highest."""

_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
_WIDE = (TensorProto.INT16, TensorProto.UINT16)


def horizon_float_model(deployment: Deployment) -> onnx.ModelProto:
    """Return the float model with a pair of Muls around every value that is held pre-scaled."""
    model = onnx.load_from_string(deployment.graph)
    for name, stem, exponent in _prescaled(deployment, model.graph):
        _prescale(model.graph, name, stem, exponent)
    return lowest_opset(model)


def horizon_loaded_model(deployment: Deployment) -> onnx.ModelProto:
    """Return the measured Q/DQ model at an opset that HMCT reads, if there is one."""
    model = quantized_model(deployment)
    if opset_of(model) > HIGHEST_OPSET:
        _with_wide_quantizers(model)
        model = lowest_opset(model)
    return model


def prescale_nodes(deployment: Deployment) -> dict[str, str]:
    """Return the Muls of the float model, and the type each reads its first input in.

    The first reads what its writer computed, the second what is held in 16 bit: a pair that ran in float16 throughout
    would overflow as the value itself does.
    """
    if not deployment.prescale:
        return {}
    graph = onnx.load_from_string(deployment.graph).graph
    found: dict[str, str] = {}
    for _, stem, _ in _prescaled(deployment, graph):
        found |= {f"{stem}_Prescale": "float32", f"{stem}_Postscale": "float16"}
    return found


_SUFFIXES = ("_Prescale", "_Postscale", "_prescale", "_postscale", "_scaled", "_rescaled", "_unscaled")


def _prescaled(deployment: Deployment, graph: onnx.GraphProto) -> Iterator[tuple[str, str, int]]:
    """Yield value, stem of the names beside it, and exponent, of every pre-scaled tensor."""
    taken = {name for node in graph.node for name in (node.name, *node.input, *node.output)}
    for tensor, exponent in sorted(deployment.prescale.items()):
        name = stem = deployment.network.tensors[tensor].name
        while any(stem + suffix in taken for suffix in _SUFFIXES):
            stem += "#"
        taken.update(stem + suffix for suffix in _SUFFIXES)
        yield name, stem, exponent


def _prescale(graph: onnx.GraphProto, name: str, stem: str, exponent: int) -> None:
    """Put ``* 2**-exponent`` and ``* 2**exponent`` behind a value; a model output keeps its name."""
    writer = next((n for n, node in enumerate(graph.node) if name in node.output), -1)
    is_output = writer >= 0 and any(value.name == name for value in graph.output)
    before, after = (f"{stem}_unscaled", name) if is_output else (name, f"{stem}_rescaled")
    if is_output:
        _rename(graph.node[writer].output, name, before)
    else:
        for node in graph.node:
            _rename(node.input, name, after)
            rename_outer(node, {name: after})
    factors = {f"{stem}_prescale": 2.0**-exponent, f"{stem}_postscale": 2.0**exponent}
    graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), key) for key, value in factors.items()
    )
    pair = (
        helper.make_node("Mul", [before, f"{stem}_prescale"], [f"{stem}_scaled"], name=f"{stem}_Prescale"),
        helper.make_node("Mul", [f"{stem}_scaled", f"{stem}_postscale"], [after], name=f"{stem}_Postscale"),
    )
    for n, node in enumerate(pair):
        graph.node.insert(writer + 1 + n, node)


def _rename(names: MutableSequence[str], old: str, new: str) -> None:
    for position, name in enumerate(names):
        if name == old:
            names[position] = new


def _with_wide_quantizers(model: onnx.ModelProto) -> None:
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    found = [node for node in model.graph.node if node.op_type in _QUANTIZERS and kinds.get(node.input[2]) in _WIDE]
    for node in found:
        node.domain = "com.microsoft"
    if found and all(entry.domain != "com.microsoft" for entry in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
