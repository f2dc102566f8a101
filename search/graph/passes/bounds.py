"""Write Max and Min with one number as Clip, and bounds behind bounds as one Clip: ReLU6 in every exporter's way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from search.graph.notes import FOLDED, Changes, Fate
from search.graph.patterns.match import only_reader, scalar
from search.graph.values import Scope, known_shape

_INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class _Bounds:
    """``min(max(x, low), high)``; infinite where there is none."""

    low: float
    high: float

    def then(self, later: _Bounds) -> _Bounds:
        """These bounds and then ``later`` ones, as one pair."""
        return _Bounds(*(min(max(bound, later.low), later.high) for bound in (self.low, self.high)))


def write_bounds_as_clips(graph: ir.Graph) -> Changes:
    """Rewrite the main graph.

    1. ``Max(x, c)`` and ``Min(x, c)`` of one number ``c`` that does not raise the rank become a Clip of their name.
    2. A Relu or Clip whose only reader is a Clip (or Relu behind a Clip) becomes one with it, under the later name.
    3. float32 only; bounds that are computed are left alone.
    """
    changes = Changes()
    scope = Scope.of(graph)
    for node in list(graph):
        found = _extreme(node)
        if found is not None:
            _replace(scope, node, node.inputs[found[0]], found[1])
    for node in list(graph):
        inner = _inner(node)
        if inner is None:
            continue
        first, later = _bounds(inner), _bounds(node)
        if first is None or later is None:
            continue
        source = inner.inputs[0]
        replaced = _replace(scope, node, source, first.then(later))
        graph.remove(inner, safe=True)
        changes.fates[inner.name or ""] = Fate(FOLDED, replaced.name, f"One Clip with {replaced.name}.")
    return changes


def _extreme(node: ir.Node) -> tuple[int, _Bounds] | None:
    """Index of the activation and the bounds of a Max or Min with one number."""
    if node.op_type not in ("Max", "Min") or node.domain != "" or len(node.inputs) != 2:
        return None
    for index in (0, 1):
        source, other = node.inputs[index], node.inputs[1 - index]
        number = scalar(other)
        if source is None or number is None or scalar(source) is not None or source.dtype is not ir.DataType.FLOAT:
            continue
        shape, flat = known_shape(source), known_shape(other)
        if flat and (shape is None or len(flat) > len(shape)):
            return None
        return index, _Bounds(number, _INFINITE) if node.op_type == "Max" else _Bounds(-_INFINITE, number)
    return None


def _inner(node: ir.Node) -> ir.Node | None:
    """The bounds right before bounds, read by nothing else."""
    source = node.inputs[0] if node.op_type in ("Clip", "Relu") and node.domain == "" and node.inputs else None
    inner = source.producer() if source is not None else None
    if inner is None or source is None or inner.op_type not in ("Clip", "Relu") or only_reader(source) is not node:
        return None
    return inner if source.dtype is ir.DataType.FLOAT else None


def _bounds(node: ir.Node) -> _Bounds | None:
    if node.op_type == "Relu":
        return _Bounds(0.0, _INFINITE)
    ends = [-_INFINITE, _INFINITE]
    for i, value in enumerate(node.inputs[1:3]):
        if value is None:
            continue
        number = scalar(value)
        if number is None:
            return None
        ends[i] = number
    return _Bounds(*ends)


def _replace(scope: Scope, node: ir.Node, source: ir.Value | None, bounds: _Bounds) -> ir.Node:
    """Put a Clip, or a Relu where it is one, in the place of ``node``, under its name."""
    name, output = node.name or "", node.outputs[0]
    if bounds == _Bounds(0.0, _INFINITE):
        new = ir.Node("", "Relu", [source], name=name)
    else:
        ends = [
            None if np.isinf(bound) else scope.add_constant(f"{name}/{end}", np.asarray(bound, np.float32))
            for end, bound in (("low", bounds.low), ("high", bounds.high))
        ]
        new = ir.Node("", "Clip", [source, *ends], name=name)
    written, value_name = new.outputs[0], output.name
    scope.graph.insert_before(node, new)
    written.shape, written.type = output.shape, output.type
    output.replace_all_uses_with(written, replace_graph_outputs=True)
    scope.graph.remove(node, safe=True)
    written.name = value_name
    return new
