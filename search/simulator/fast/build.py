"""A program as one ONNX model of float kernels that computes the same integers.

An integer value ``x`` is held as ``x' = x - zero_point`` in float32 under its own name. Why every number stays exact is
said where it is computed, and in docs/numerics.md#fast-integers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import TensorProto, helper

from search.simulator import program as steps
from search.simulator.fast import casts, elementwise, gemm, movement, norms, spatial, tables
from search.simulator.fast.context import Context, Watched
from search.simulator.fast.graph import Graph
from search.simulator.program import Program, Step

_WRITERS: Mapping[type[Step], Callable[[Context, Any], None]] = {
    steps.Quantize: casts.write_quantize,
    steps.Dequantize: casts.write_dequantize,
    steps.RoundHalf: casts.write_round_half,
    steps.Requantize: casts.write_requantize,
    steps.Gemm: gemm.write_gemm,
    steps.Sum: elementwise.write_sum,
    steps.Product: elementwise.write_product,
    steps.Quotient: elementwise.write_quotient,
    steps.Rectify: elementwise.write_rectify,
    steps.Table: tables.write_table,
    steps.Softmax: norms.write_softmax,
    steps.LayerNorm: norms.write_layer_norm,
    steps.EuclideanNorm: norms.write_euclidean_norm,
    steps.MaxPool: spatial.write_max_pool,
    steps.Mean: spatial.write_mean,
    steps.Interpolate: spatial.write_interpolate,
    steps.Pick: spatial.write_pick,
    steps.Concat: movement.write_concat,
    steps.PadWith: movement.write_pad,
    steps.Lookup: movement.write_lookup,
    steps.Move: movement.write_node,
    steps.Float: movement.write_node,
}


@dataclass(frozen=True)
class FastModel:
    """A program as a float graph.

    Attributes:
        proto: To be run at ``Level.INTEGER``: other levels merge operators and lose integers.
        watched: Further outputs: the largest absolute accumulators of the gemms that can overflow.
    """

    proto: onnx.ModelProto
    watched: tuple[Watched, ...]


def build(program: Program, *, keep: Collection[str] = ()) -> FastModel:
    """Return the graph of ``program``.

    Args:
        program: Steps in integers.
        keep: Names of values that become outputs as well; integers without their zero point, in float32.

    Raises:
        ValueError: If the program is broken, or a sum is too long to be exact.
    """
    graph = Graph(_names(program))
    graph.initializers.update(program.constants)
    context = Context(graph, program.grids, program.widths.rounding)
    for step in program.steps:
        writer = _WRITERS.get(type(step))
        if writer is None:
            raise ValueError(f"{step.name}: no way to write a step of type {type(step).__name__}.")
        writer(context, step)
    delivered = [info.name for info in program.outputs]
    watched = [helper.make_tensor_value_info(one.output, TensorProto.DOUBLE, []) for one in context.watched]
    kept = [onnx.ValueInfoProto(name=name) for name in keep if name not in delivered]
    proto = graph.model(
        inputs=program.inputs,
        outputs=[*program.outputs, *kept, *watched],
        opset=program.opset,
        ir_version=program.ir_version,
    )
    return FastModel(proto, tuple(context.watched))


def _names(program: Program) -> set[str]:
    """Names the program uses, those its nodes read and write included."""
    names = {*program.constants, *(info.name for info in program.inputs)}
    for step in program.steps:
        names.add(step.output)
        if isinstance(step, (steps.Move, steps.Float)):
            names.update((*step.node.input, *step.node.output))
    return names
