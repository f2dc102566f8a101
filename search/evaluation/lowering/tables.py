"""Unary functions by table: the group's own nodes, run in float32 at the table's points.

So a function that an exporter split into several nodes is tabulated as one, with the constants it has.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from search.evaluation.lowering.group_context import GroupContext
from search.quant.grid import DoubleArray, Grid
from search.runtime.session import Level, Session
from search.simulator.making.tables import entries_of, table_points
from search.simulator.program import Table

_POINTS, _RESULT = "points", "result"
_JUMPING = frozenset({"Floor", "Ceil", "Round", "Sign"})
"""Functions that jump: a line between two entries would pass through values they never take."""


def lower_table(context: GroupContext) -> bool:
    """Append the function as a table; False where it has no integer form."""
    grid = context.out_grid
    reads = [context.read(node, i) for node in context.nodes for i in range(len(node.input)) if context.slot(node, i)]
    names = {read.operand for read in reads if read is not None and isinstance(read.operand, str)}
    if grid is None or None in reads or len(names) != 1 or not _is_self_contained(context):
        return False
    read = reads[0]
    if read is None or read.grid is None or (read.grid.bits > 8 and context.node.op_type in _JUMPING):
        return False
    found = entries_of(_values(context, read.grid), read.grid, grid)
    return context.done(
        Table(
            name=context.name,
            output=context.output,
            input=str(read.operand),
            entries=found.entries,
            segment_bits=found.segment_bits,
            fraction_bits=found.fraction_bits,
        )
    )


def _is_self_contained(context: GroupContext) -> bool:
    """Whether the nodes read nothing but the input, constants and each other."""
    inside = {name for node in context.nodes for name in node.output}
    return all(
        not name or name in inside or context.slot(node, i) is not None or context.constant(node, i) is not None
        for node in context.nodes
        for i, name in enumerate(node.input)
    )


def _values(context: GroupContext, grid: Grid) -> DoubleArray:
    """The function at the points of the table, as the nodes compute it."""
    points = table_points(grid).astype(np.float32)
    with np.errstate(over="ignore"):
        found = Session(_model(context), level=Level.PLAIN).run({_POINTS: points})[_RESULT]
    return found.reshape(-1).astype(np.float64)


def _model(context: GroupContext) -> onnx.ModelProto:
    nodes, constants = [], {}
    for node in context.nodes:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for i, name in enumerate(node.input):
            if context.slot(node, i) is not None:
                new.input[i] = _POINTS
            elif context.constant(node, i) is not None:
                constants[name] = context.initializer(name)
        nodes.append(new)
    nodes[-1].output[0] = _RESULT
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "function",
        [info(_POINTS, TensorProto.FLOAT, [None])],
        [info(_RESULT, TensorProto.FLOAT, None)],
        list(constants.values()),
    )
    model = helper.make_model(graph, opset_imports=context.opset)
    model.ir_version = context.ir_version
    return model
