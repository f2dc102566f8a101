"""Softmax that an exporter split: ``exp(x - max(x)) / sum(exp(x - max(x)))``, with or without the maximum."""

from __future__ import annotations

import onnx_ir as ir

from search.graph.patterns.match import Pattern, is_closed, places, producer, reduced_axes
from search.graph.patterns.quotient import quotient


def match_softmax(last: ir.Node) -> Pattern | None:
    """Return the softmax that ends in the division ``last``, or None.

    1. ``e / ReduceSum(e)`` with ``e = Exp(z)``, written as a Div or as a product with a Reciprocal.
    2. ``z = Sub(x, ReduceMax(x))``, else ``z`` itself is the input.
    3. Sum and maximum run over the same single axis, which is not that of the samples.
    """
    for division in quotient(last):
        found = _match(division.numerator, division.denominator, division.nodes)
        if found is not None and division.power == 1.0:
            return found
    return None


def _match(numerator: ir.Value, denominator: ir.Value, division: tuple[ir.Node, ...]) -> Pattern | None:
    exp = producer(numerator, "Exp")
    total = producer(denominator, "ReduceSum")
    if exp is None or total is None or total.inputs[0] is not exp.outputs[0]:
        return None
    axes = reduced_axes(total)
    if axes is None or len(axes) != 1:
        return None
    nodes: tuple[ir.Node, ...] = (exp, total, *division)
    source = exp.inputs[0]
    shift = producer(source, "Sub")
    peak = producer(shift.inputs[1], "ReduceMax") if shift is not None else None
    if shift is not None and peak is not None and peak.inputs[0] is shift.inputs[0]:
        if reduced_axes(peak) != axes:
            return None
        nodes = (peak, shift, *nodes)
        source = shift.inputs[0]
    if source is None or not is_closed(nodes):
        return None
    return Pattern(op_type="Softmax", nodes=nodes, inputs=places(nodes, source))
