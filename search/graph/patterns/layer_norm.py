"""LayerNormalization that an exporter split.

``(x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps)``, then optionally times gamma and plus beta.
"""

from __future__ import annotations

import onnx_ir as ir

from search.graph.patterns.match import Pattern, is_closed, only_reader, places, producer, scalar


def match_layer_norm(division: ir.Node) -> Pattern | None:
    """Return the LayerNormalization whose division is ``division``, or None.

    1. The numerator is ``Sub(x, ReduceMean(x))``.
    2. The denominator is ``Sqrt(Add(ReduceMean(square), eps))``; ``square`` is ``Pow(d, 2)`` or ``Mul(d, d)``
       of the same difference, or of an equal one written a second time.
    3. A constant factor and then a constant addend that follow belong to it.
    """
    if division.op_type != "Div":
        return None
    centre = producer(division.inputs[0], "Sub")
    root = producer(division.inputs[1], "Sqrt")
    if centre is None or root is None:
        return None
    mean = producer(centre.inputs[1], "ReduceMean")
    variance = _variance(root)
    source = centre.inputs[0]
    if mean is None or source is None or mean.inputs[0] is not source or variance is None:
        return None
    square, spread, offset = variance
    second = _difference(square, source)
    if second is None:
        return None
    ordered = dict.fromkeys((mean, centre, *second, square, spread, offset, root, division))
    nodes = tuple(ordered)
    tail, constants = _affine(division)
    nodes += tail
    if not is_closed(nodes):
        return None
    return Pattern(op_type="LayerNormalization", nodes=nodes, inputs=places(nodes, source), constants=constants)


def _variance(root: ir.Node) -> tuple[ir.Node, ir.Node, ir.Node] | None:
    offset = producer(root.inputs[0], "Add")
    if offset is None:
        return None
    spread = producer(offset.inputs[0], "ReduceMean") or producer(offset.inputs[1], "ReduceMean")
    has_epsilon = scalar(offset.inputs[0]) is not None or scalar(offset.inputs[1]) is not None
    square = producer(spread.inputs[0], "Pow", "Mul") if spread is not None and has_epsilon else None
    if spread is None or square is None:
        return None
    return square, spread, offset


def _difference(square: ir.Node, source: ir.Value) -> tuple[ir.Node, ...] | None:
    """Nodes of the squared difference, or None if it is no difference of ``source`` and its mean."""
    if square.op_type == "Pow" and scalar(square.inputs[1]) != 2.0:
        return None
    if square.op_type == "Mul" and square.inputs[0] is not square.inputs[1]:
        return None
    centre = producer(square.inputs[0], "Sub")
    mean = producer(centre.inputs[1], "ReduceMean") if centre is not None else None
    if centre is None or mean is None or centre.inputs[0] is not source or mean.inputs[0] is not source:
        return None
    return (mean, centre)


def _affine(division: ir.Node) -> tuple[tuple[ir.Node, ...], tuple[tuple[ir.Node, int], ...]]:
    """The Mul and Add by constants that follow."""
    tail: list[ir.Node] = []
    constants: list[tuple[ir.Node, int]] = []
    value = division.outputs[0]
    for op_type in ("Mul", "Add"):
        node = only_reader(value)
        if node is None or node.op_type != op_type:
            continue
        index = 1 if node.inputs[0] is value else 0
        other = node.inputs[index]
        if other is None or other.const_value is None:
            continue
        tail.append(node)
        if other.const_value.size > 1:
            constants.append((node, index))
        value = node.outputs[0]
    return tuple(tail), tuple(constants)
