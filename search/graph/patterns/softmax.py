"""Softmax that an exporter split: ``exp(x - max(x)) / sum(exp(x - max(x)))``, with or without the maximum."""

from __future__ import annotations

import onnx_ir as ir

from search.graph.patterns.match import Pattern, is_closed, places, producer


def match_softmax(last: ir.Node) -> Pattern | None:
    """Return the softmax that ends in the division ``last``, or None.

    1. ``Div(e, ReduceSum(e))`` with ``e = Exp(z)``.
    2. ``z = Sub(x, ReduceMax(x))``, else ``z`` itself is the input.
    """
    if last.op_type != "Div":
        return None
    exp = producer(last.inputs[0], "Exp")
    total = producer(last.inputs[1], "ReduceSum")
    if exp is None or total is None or total.inputs[0] is not exp.outputs[0]:
        return None
    nodes: tuple[ir.Node, ...] = (exp, total, last)
    source = exp.inputs[0]
    shift = producer(source, "Sub")
    peak = producer(shift.inputs[1], "ReduceMax") if shift is not None else None
    if shift is not None and peak is not None and peak.inputs[0] is shift.inputs[0]:
        nodes = (peak, shift, *nodes)
        source = shift.inputs[0]
    if source is None or not is_closed(nodes):
        return None
    return Pattern(op_type="Softmax", nodes=nodes, inputs=places(nodes, source))
