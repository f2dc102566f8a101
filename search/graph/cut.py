"""Where ranking looks instead of at an output: before operators whose result jumps.

The index that TopK, Sort, ArgMax or NonMaxSuppression picks can change completely for the smallest error, so output
errors behind them say nothing about a point. For ranking only, such an output is replaced by the real values that these
operators read first. The cut is never earlier: a Sigmoid or Softmax in front of them stays in.
"""

from __future__ import annotations

import onnx_ir as ir

from search.graph.data_free import bodies_of, captured_values, data_free_values, is_activation

UNSTABLE = frozenset({"NonMaxSuppression", "TopK", "ArgMax", "ArgMin", "Hardmax", "Unique", "NonZero"})


def ranking_values(graph: ir.Graph) -> dict[str, tuple[str, ...]]:
    """Return, per model output, the values whose error ranks points: itself, or what stands before the cut."""
    behind = _behind(graph)
    free = data_free_values(graph)
    found = {}
    for output in graph.outputs:
        values = _before(output, behind, free) if output in behind else (output,)
        found[output.name or ""] = tuple(value.name or "" for value in values if is_activation(value))
    return found


def _behind(graph: ir.Graph) -> set[ir.Value]:
    """Values that an unstable operator writes or that are computed from one."""
    behind: set[ir.Value] = set()
    for node in graph:
        inside = (inner.op_type for body in bodies_of(node) for inner in body)
        if not UNSTABLE.isdisjoint((node.op_type, *inside)) or not behind.isdisjoint(_reads(node)):
            behind.update(node.outputs)
    return behind


def _reads(node: ir.Node) -> list[ir.Value]:
    """What the node and its subgraphs read of its graph."""
    return [value for value in (*node.inputs, *captured_values(node)) if value is not None]


def _before(output: ir.Value, behind: set[ir.Value], free: set[ir.Value]) -> tuple[ir.Value, ...]:
    """Stable real values that feed the unstable part ``output`` comes from."""
    found: dict[ir.Value, None] = {}
    seen: set[ir.Value] = set()
    todo = [output]
    while todo:
        value = todo.pop()
        node = value.producer()
        if value in seen or node is None:
            continue
        seen.add(value)
        for read in _reads(node):
            if read in behind:
                todo.append(read)
            elif is_activation(read) and read not in free:
                found[read] = None
    return tuple(found)
