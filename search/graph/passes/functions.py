"""Replace calls of model-local functions by the nodes of the functions.

Exporters write one function per module; groups are found on operators, so the calls have to go. A node ``n`` of a
function called by node ``c`` becomes ``c/n``.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from search.errors import UnsupportedModelError
from search.graph.naming import unique_name
from search.graph.notes import FOLDED, Changes, Fate
from search.graph.values import parse_model

_CALL = "bitbudget.call"


def inline_functions(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Changes]:
    """Return ``model`` without local functions, and what became of the calls.

    1. Every call is replaced, functions inside functions too; their expanded number was checked before.
    2. A node inside is called ``<call>/<its name, else its operator>``.
    3. A call's fate points at the node that writes its first output.

    Args:
        model: Every node of the main graph named, names unique. Not changed.

    Raises:
        UnsupportedModelError: If a function uses another opset than the model, or takes graphs as attributes.
    """
    changes = Changes()
    if not model.functions:
        return model, changes
    graph_model = parse_model(model)
    calls = {}
    for node in graph_model.graph:
        if node.op_identifier() in graph_model.functions:
            node.metadata_props[_CALL] = node.name or ""
            calls[node.name or ""] = (node.op_type, node.outputs[0].name)
    for function in graph_model.functions.values():
        for node in function:
            node.name = node.name or node.op_type
    try:
        InlinePass()(graph_model)
    except (ValueError, ir.passes.PreconditionError) as error:
        raise UnsupportedModelError(
            f"The local functions of the model cannot be expanded: {error}. Export the model without local functions."
        ) from error
    _name_inlined(graph_model.graph)
    writers = {value.name: node.name for node in graph_model.graph for value in node.outputs}
    for name, (op_type, output) in calls.items():
        changes.fates[name] = Fate(FOLDED, writers.get(output), f"Call of local function {op_type}, expanded.")
    used = {node.domain for node in ir.traversal.RecursiveGraphIterator(graph_model.graph)} | {""}
    for domain in [d for d in graph_model.opset_imports if d not in used]:
        del graph_model.opset_imports[domain]
    graph_model.functions.clear()
    return ir.to_proto(graph_model), changes


def _name_inlined(graph: ir.Graph) -> None:
    taken = {node.name or "" for node in graph if _CALL not in node.metadata_props}
    for node in graph:
        call = node.metadata_props.pop(_CALL, None)
        if call is not None:
            node.name = unique_name(f"{call}/{node.name or node.op_type}", taken)
            taken.add(node.name)
