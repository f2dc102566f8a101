"""Turn Constant nodes into initializers, so that a constant has one form."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from search.graph.notes import FOLDED, Changes, Fate


def lift_constants(model: ir.Model) -> Changes:
    """Turn Constant nodes of the main graph and its subgraphs into initializers of the same name.

    1. All forms are lifted: ``value``, ``value_float``, ``value_ints``, ... .
    2. A Constant that is a graph output stays.
    3. Only nodes of the main graph have a fate; subgraphs are not part of the assignment.
    """
    before = {node.name or "": node.outputs[0].name for node in model.graph if node.op_type == "Constant"}
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    after = {node.name for node in model.graph}
    changes = Changes()
    for name, output in before.items():
        if name not in after:
            changes.fates[name] = Fate(FOLDED, None, f"Constant {output}.")
    return changes
