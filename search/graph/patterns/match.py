"""A recognised pattern, and the small questions every recogniser asks of the graph."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from search.graph.operators import attribute_int


@dataclass(frozen=True)
class Pattern:
    """Nodes that are one operator.

    Attributes:
        op_type: Name of the operator they are.
        nodes: Members in topological order; the last one writes the output.
        inputs: ``(node, input index)`` where the activation enters; more than one place may read the same value.
        constants: ``(node, input index)`` of constants with more than one value.
    """

    op_type: str
    nodes: tuple[ir.Node, ...]
    inputs: tuple[tuple[ir.Node, int], ...]
    constants: tuple[tuple[ir.Node, int], ...] = ()

    @property
    def output(self) -> ir.Value:
        """The value the pattern writes."""
        return self.nodes[-1].outputs[0]


def scalar(value: ir.Value | None) -> float | None:
    """The one number a constant holds, or None for anything else."""
    if value is None or value.const_value is None or value.const_value.size != 1:
        return None
    return float(value.const_value.numpy().reshape(()))


def producer(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that writes ``value`` if its operator is one of ``op_types``."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in op_types else None


def reduced_axes(node: ir.Node) -> tuple[int, ...] | None:
    """Axes of a Reduce operator counted from the end and sorted, e.g. ``(-1,)``.

    None where the reduced axes do not stay as axes of size one, are not constant, are all axes, include the first
    (samples), or cannot be counted from the end because the rank is unknown.
    """
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if attribute_int(node, "keepdims", 1) != 1 or given is None or given.const_value is None:
        return None
    axes = [int(axis) for axis in given.const_value.numpy().reshape(-1)]
    data = node.inputs[0]
    rank = len(data.shape) if data is not None and data.shape is not None else None
    if not axes or (rank is None and any(axis >= 0 for axis in axes)):
        return None
    from_end = tuple(sorted(axis - (rank or 0) if axis >= 0 else axis for axis in axes))
    return None if rank is not None and -rank in from_end else from_end


def only_reader(value: ir.Value) -> ir.Node | None:
    """The node of the same graph that reads ``value``, if nothing else does and ``value`` is no graph output."""
    uses = tuple(value.uses())
    if value.is_graph_output() or len({use.node for use in uses}) != 1 or uses[0].node.graph is not value.graph:
        return None
    return uses[0].node


def is_closed(nodes: tuple[ir.Node, ...]) -> bool:
    """Whether no value inside the pattern is seen from outside, its output excepted."""
    members = set(nodes)
    return all(
        not value.is_graph_output() and all(use.node in members for use in value.uses())
        for node in nodes[:-1]
        for value in node.outputs
    )


def places(nodes: tuple[ir.Node, ...], value: ir.Value) -> tuple[tuple[ir.Node, int], ...]:
    """Every ``(node, input index)`` of the pattern that reads ``value``."""
    return tuple((node, i) for node in nodes for i, read in enumerate(node.inputs) if read is value)
