"""The switched graph cut into stretches: a point late in the graph need not run what stands before it.

With every switch off, values at a cut are those of the float model. They are computed once per set of samples; a point
then runs the tail that starts at the last cut before its switch. Cuts follow from the graph alone, so what is measured
of a point does not depend on which others are measured with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from search.evaluation.subgraphs import outer_reads

Array = npt.NDArray[Any]
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


def start_of(model: onnx.ModelProto, switch: str, cuts: Sequence[int]) -> int:
    """Return the last of ``cuts`` that no node reading ``switch`` stands before."""
    first = next((i for i, node in enumerate(model.graph.node) if switch in node.input), 0)
    return max(cut for cut in cuts if cut <= first)


def values_at(model: onnx.ModelProto, cut: int) -> tuple[str, ...]:
    """Return the names of the values that cross a cut, model inputs and switches left out."""
    nodes = model.graph.node
    before = {name for node in nodes[:cut] for name in node.output if name}
    wanted = {name for node in nodes[cut:] for name in (*node.input, *outer_reads(node))}
    wanted |= {value.name for value in model.graph.output}
    return tuple(sorted(before & wanted))


def tail(model: onnx.ModelProto, cut: int, crossing: Mapping[str, Array]) -> onnx.ModelProto:
    """Return the graph from a cut on; ``crossing`` are the values that it reads as inputs instead."""
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
