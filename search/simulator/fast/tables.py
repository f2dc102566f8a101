"""Unary functions by table: the result of every integer of the input is computed once, a run only looks it up.

``GatherElements`` over flattened values is several times faster than ``Gather``, and takes negative indices: with the
entries in the order ``0, 1, ..., -2, -1`` the integers ``x'`` are the indices.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from search.simulator.fast.context import Context
from search.simulator.fast.graph import Graph
from search.simulator.program import Table
from search.simulator.rescale import Int64Array, Rounding, round_shift


def write_table(context: Context, step: Table) -> None:
    """Look up ``x'``."""
    grid, to = context.grid(step.input), context.landing(step.output)
    index = np.arange(grid.qmax - grid.qmin + 1)
    y = np.clip(between(step.entries, index, step.segment_bits, step.fraction_bits, context.rounding), to.low, to.high)
    turned = np.roll(y, -(grid.zero_point - grid.qmin))
    context.name(looked_up(context.graph, turned, context.graph.cast(step.input, TensorProto.INT32)), step.output)


def between(
    entries: Int64Array, index: Int64Array, segment_bits: int, fraction_bits: int, rounding: Rounding
) -> Int64Array:
    """Return the integers on the lines between entries, at ``index`` in steps of ``2**-segment_bits`` entries."""
    if segment_bits == 0:
        return round_shift(entries[index], fraction_bits, rounding)
    k, f = np.divmod(index, 1 << segment_bits)
    v = (entries[k] << segment_bits) + (entries[np.minimum(k + 1, len(entries) - 1)] - entries[k]) * f
    return round_shift(v, segment_bits + fraction_bits, rounding)


def looked_up(graph: Graph, entries: npt.NDArray[np.int64], index: str) -> str:
    """Return float32 ``entries[index]`` in the shape of ``index``."""
    flat = graph.add("Reshape", index, graph.int64([-1]))
    found = graph.add("GatherElements", graph.float32(entries), flat, axis=0)
    return graph.add("Reshape", found, graph.add("Shape", index))
