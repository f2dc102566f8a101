"""The float graph cut into stretches: a point late in the graph need not run what stands before it.

Values at a cut are those of the float model. They are computed once per set of samples; a point then runs the tail that
starts at the last cut before it. Cuts and positions follow from the graph alone, so what is measured of a point does
not depend on which others are measured with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import helper

from search.arrays import Array
from search.evaluation.subgraphs import outer_reads
from search.evaluation.template import Template
from search.sensitivity.points import Point, PointKind

STRETCHES = 6


def cut_positions(model: onnx.ModelProto, work: Mapping[str, float]) -> tuple[int, ...]:
    """Return where tails start, as positions in the list of nodes; the first is 0.

    Args:
        model: The graph.
        work: Node name to multiply-accumulates; nodes that are missing count as none.
    """
    done = np.cumsum([work.get(node.name, 0.0) for node in model.graph.node])
    total = float(done[-1]) if len(done) else 0.0
    starts = [int(np.searchsorted(done, total * k / STRETCHES, side="right")) for k in range(1, STRETCHES)]
    return tuple(sorted({0, *(start for start in starts if total and start < len(done))}))


def positions(template: Template, points: Iterable[Point]) -> dict[Point, int]:
    """Return for every point how many nodes of the prepared graph may run before it is rounded."""
    nodes = template.model.graph.node
    written = {name: i + 1 for i, node in enumerate(nodes) for name in node.output}
    own = {node.name: i for i, node in enumerate(nodes)}
    behind: dict[int, int] = {}
    for name, tensor in template.roots.items():
        place = written.get(name, 0) - (name in template.outputs)  # the writer of a model output changes its name
        behind[tensor] = max(0, min(place, behind.get(tensor, place)))
    constants = template.network.constants
    return {
        point: own[constants[point.index].node] if point.kind is PointKind.WEIGHT else behind.get(point.index, 0)
        for point in points
    }


def values_at(model: onnx.ModelProto, cut: int) -> tuple[str, ...]:
    """Return the names of the values that cross a cut, model inputs and switches left out."""
    nodes = model.graph.node
    before = {name for node in nodes[:cut] for name in node.output if name}
    wanted = {name for node in nodes[cut:] for name in (*node.input, *outer_reads(node))}
    wanted |= {value.name for value in model.graph.output}
    return tuple(sorted(before & wanted))


def tail(model: onnx.ModelProto, cut: int, crossing: Mapping[str, Array]) -> onnx.ModelProto:
    """Return a graph from a cut on, with no switch before it; what crosses the cut becomes an input."""
    found = onnx.ModelProto()
    found.ir_version = model.ir_version
    found.opset_import.extend(model.opset_import)
    found.graph.name = f"{model.graph.name}/{cut}"
    nodes = model.graph.node[cut:]
    read = {name for node in nodes for name in (*node.input, *outer_reads(node))}
    found.graph.node.extend(nodes)
    found.graph.input.extend(value for value in model.graph.input if value.name in read)
    found.graph.input.extend(
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim)
        for name, value in crossing.items()
        if name in read
    )
    found.graph.initializer.extend(one for one in model.graph.initializer if one.name in read)
    written = {name for node in nodes for name in node.output}
    found.graph.output.extend(value for value in model.graph.output if value.name in written)
    return found
