"""Put the branch of an If whose condition is constant in the place of the If.

Exporters write an If where the network asks for sizes: `squeeze` of an axis that may be 1, other paths for other ranks.
"""

from __future__ import annotations

import onnx_ir as ir

from search.graph.notes import FOLDED, Changes, Fate, Note
from search.graph.values import Scope, constant_array


def take_known_branches(graph: ir.Graph) -> Changes:
    """Replace every If of the main graph whose condition is an initializer, and those inside what it is replaced by.

    1. Nodes and values of the branch are called ``<name of the If>/<their name, else the operator>``.
    2. The last value of the branch takes over the name of the If's output; a constant that it hands on is read
       directly, or through an Identity where it is a graph output.
    3. Constants of the branch become initializers of the main graph.
    """
    changes = Changes()
    scope = Scope.of(graph)
    waiting = [node for node in graph if is_decided(node)]
    while waiting:
        node = waiting.pop(0)
        moved = _take(scope, node, changes)
        waiting += [inner for inner in moved if is_decided(inner)]
    return changes


def is_decided(node: ir.Node) -> bool:
    """Whether ``node`` is an If whose condition is an initializer."""
    return node.op_type == "If" and node.domain == "" and constant_array(node.inputs[0]) is not None


def _take(scope: Scope, node: ir.Node, changes: Changes) -> list[ir.Node]:
    """Move the branch of one If before it, and remove the If."""
    condition, name = constant_array(node.inputs[0]), node.name or ""
    is_true = condition is not None and bool(condition.reshape(-1)[0])
    branch = node.attributes["then_branch" if is_true else "else_branch"].as_graph()
    results, nodes = list(branch.outputs), list(branch)
    branch.outputs.clear()
    moved_constants = _move_constants(scope, branch, name)
    branch.remove(nodes)
    for inner in nodes:
        inner.name = scope.node_name(f"{name}/{inner.name or inner.op_type}")
        for value in inner.outputs:
            value.name = scope.value_name(f"{name}/{value.name}") if value.name else value.name
    scope.graph.insert_before(node, nodes)
    results = [moved_constants.get(value, value) for value in results]
    written = {value for inner in nodes for value in inner.outputs}
    names = [output.name for output in node.outputs]
    ends = [_hand_on(scope, node, i, result, written) for i, result in enumerate(results)]
    scope.graph.remove(node, safe=True)
    for end, old in zip(ends, names, strict=True):
        if end is not None:
            end.name = old
    writer = results[0].producer()
    text = f"If {name!r} takes its {'then' if is_true else 'else'} branch whatever the data: its condition is constant."
    changes.fates[name] = Fate(FOLDED, writer.name if writer is not None else None, text)
    changes.notes.append(Note("branch-taken", text, (name,)))
    return nodes


def _move_constants(scope: Scope, branch: ir.Graph, name: str) -> dict[ir.Value, ir.Value]:
    """Initializers of ``branch`` as initializers of the main graph, by what they were."""
    moved = {}
    for old in list(branch.initializers.values()):
        array = constant_array(old)
        if array is None:
            continue
        moved[old] = scope.add_constant(f"{name}/{old.name}", array)
        old.replace_all_uses_with(moved[old])
    branch.initializers.clear()
    return moved


def _hand_on(scope: Scope, node: ir.Node, index: int, result: ir.Value, written: set[ir.Value]) -> ir.Value | None:
    """Let readers of output ``index`` read ``result``; return the value that takes over the name of the output."""
    output = node.outputs[index]
    is_own = result in written
    if output.is_graph_output() and (not is_own or result.is_graph_output()):
        identity = ir.Node("", "Identity", [result], name=scope.node_name(f"{node.name}/{output.name}"))
        scope.graph.insert_before(node, identity)
        result, is_own = identity.outputs[0], True
    if result.shape is None:
        result.shape = output.shape
    if result.type is None:
        result.type = output.type
    output.replace_all_uses_with(result, replace_graph_outputs=True)
    written.discard(result)  # it has the name of one output only
    return result if is_own else None
