"""Where ranking looks instead of at an output: before operators whose result jumps.

The index that TopK, Sort, ArgMax or NonMaxSuppression picks can change completely for the smallest error, so output
errors behind them say nothing about a point. For ranking only, such an output is replaced by the real values that these
operators read first. The cut is never earlier: a Sigmoid or Softmax in front of them stays in.
"""

from __future__ import annotations

import onnx_ir as ir

from search.graph.groups import is_activation

UNSTABLE = frozenset({"NonMaxSuppression", "TopK", "ArgMax", "ArgMin", "Unique", "NonZero"})


def ranking_values(graph: ir.Graph) -> dict[str, tuple[str, ...]]:
    """Return, per model output, the values whose error ranks points: itself, or what stands before the cut."""
    behind = _behind(graph)
    found = {}
    for output in graph.outputs:
        values = _before(output, behind) if output in behind else (output,)
        found[output.name or ""] = tuple(value.name or "" for value in values if is_activation(value))
    return found


def _behind(graph: ir.Graph) -> set[ir.Value]:
    """Values that an unstable operator writes or that are computed from one."""
    behind: set[ir.Value] = set()
    for node in graph:
        if node.op_type in UNSTABLE or any(value in behind for value in node.inputs if value is not None):
            behind.update(node.outputs)
    return behind


def _before(output: ir.Value, behind: set[ir.Value]) -> tuple[ir.Value, ...]:
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
        for read in node.inputs:
            if read is None:
                continue
            if read in behind:
                todo.append(read)
            elif is_activation(read):
                found[read] = None
    return tuple(found)
