"""Unary functions by table: the group's own nodes, run in float32 at the table's points.

So a function that an exporter split into several nodes is tabulated as one, with the constants it has.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from search.evaluation.lowering.site import Site
from search.quant.grid import DoubleArray, Grid
from search.runtime.session import Level, Session
from search.simulator.making.tables import entries_of, table_points
from search.simulator.program import Table

_POINTS, _RESULT = "points", "result"
_JUMPING = frozenset({"Floor", "Ceil", "Round", "Sign"})
"""Functions that jump: a line between two entries would pass through values they never take."""


def lower_table(site: Site) -> bool:
    """Append the function as a table; False where it has no integer form."""
    grid = site.out_grid
    reads = [site.read(node, i) for node in site.nodes for i in range(len(node.input)) if site.slot(node, i)]
    names = {read.operand for read in reads if read is not None and isinstance(read.operand, str)}
    if grid is None or None in reads or len(names) != 1 or not _is_self_contained(site):
        return False
    read = reads[0]
    if read is None or read.grid is None or (read.grid.bits > 8 and site.node.op_type in _JUMPING):
        return False
    found = entries_of(_values(site, read.grid), read.grid, grid)
    return site.done(
        Table(
            name=site.name,
            output=site.output,
            input=str(read.operand),
            entries=found.entries,
            segment_bits=found.segment_bits,
            fraction_bits=found.fraction_bits,
        )
    )


def _is_self_contained(site: Site) -> bool:
    """Whether the nodes read nothing but the input, constants and each other."""
    inside = {name for node in site.nodes for name in node.output}
    return all(
        not name or name in inside or site.slot(node, i) is not None or site.constant(node, i) is not None
        for node in site.nodes
        for i, name in enumerate(node.input)
    )


def _values(site: Site, grid: Grid) -> DoubleArray:
    """The function at the points of the table, as the nodes compute it."""
    points = table_points(grid).astype(np.float32)
    with np.errstate(over="ignore"):
        return Session(_model(site), level=Level.PLAIN).run({_POINTS: points})[_RESULT].reshape(-1).astype(np.float64)


def _model(site: Site) -> onnx.ModelProto:
    nodes, constants = [], {}
    for node in site.nodes:
        new = onnx.NodeProto()
        new.CopyFrom(node)
        for i, name in enumerate(node.input):
            if site.slot(node, i) is not None:
                new.input[i] = _POINTS
            elif site.constant(node, i) is not None:
                constants[name] = site.initializer(name)
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
    model = helper.make_model(graph, opset_imports=site.opset)
    model.ir_version = site.ir_version
    return model
