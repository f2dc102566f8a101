"""Remove what no output of the model depends on."""

from __future__ import annotations

import onnx_ir as ir

from search.graph.notes import FOLDED, Changes, Fate, Note
from search.graph.values import drop_unread_initializers


def remove_unused(graph: ir.Graph) -> Changes:
    """Remove nodes and initializers of the main graph that nothing reads.

    1. A node goes if none of its outputs is read, also not from a subgraph, and none is a graph output.
    2. Initializers go the same way. Model inputs stay, read or not: they are part of the interface.
    """
    changes = Changes()
    for node in reversed(list(graph)):
        if any(value.uses() or value.is_graph_output() for value in node.outputs):
            continue
        changes.fates[node.name or ""] = Fate(FOLDED, None, "Nothing reads its outputs.")
        graph.remove(node, safe=True)
    drop_unread_initializers(graph)
    if changes.fates:
        names = tuple(reversed(changes.fates))
        changes.notes.append(
            Note("unused-nodes", f"No output depends on {len(names)} nodes; they are left out.", names)
        )
    return changes
