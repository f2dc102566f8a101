"""LayerNormalization and RMSNorm that an exporter split.

``(x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps)``, then optionally times gamma and plus beta. RMSNorm is
``x / sqrt(mean(x^2) + eps)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from search.graph.patterns.match import Pattern, is_closed, only_reader, places, producer, reduced_axes, scalar
from search.graph.patterns.quotient import Quotient, quotient

Axes = tuple[int, ...]


def match_layer_norm(last: ir.Node) -> Pattern | None:
    """Return the LayerNormalization whose division ends in ``last``, or None.

    1. The numerator is ``Sub(x, ReduceMean(x))``.
    2. The denominator is ``Sqrt(Add(ReduceMean(square), eps))``; ``square`` is ``Pow(d, 2)`` or ``Mul(d, d)``
       of the same difference, or of an equal one written a second time. Powers of 0.5 and reciprocals count.
    3. All means run over the same axes, and not over the samples.
    4. A constant factor and then a constant addend along these axes that follow belong to it.
    """
    for division in quotient(last):
        found = _match(division)
        if found is not None:
            return found
    return None


def match_rms_norm(last: ir.Node) -> Pattern | None:
    """Return the RMSNorm whose division ends in ``last``, or None.

    1. The denominator is ``Sqrt(Add(ReduceMean(square), eps))`` of the numerator itself; powers and reciprocals count.
    2. The mean does not run over the samples. A constant factor along these axes that follows belongs to it.
    """
    for division in quotient(last):
        spread = _spread(division)
        if spread is None or spread.square.inputs[0] is not division.numerator or not _is_square(spread.square):
            continue
        tail, constants = _affine(division.nodes[-1], spread.axes, ("Mul",))
        nodes = (*spread.nodes, *division.nodes, *tail)
        if is_closed(nodes):
            inputs = places(nodes, division.numerator)
            return Pattern(op_type="RMSNormalization", nodes=nodes, inputs=inputs, constants=constants)
    return None


def _match(division: Quotient) -> Pattern | None:
    centre = producer(division.numerator, "Sub")
    mean = producer(centre.inputs[1], "ReduceMean") if centre is not None else None
    source = centre.inputs[0] if centre is not None else None
    if centre is None or mean is None or source is None or mean.inputs[0] is not source:
        return None
    axes = reduced_axes(mean)
    spread = _deviation(division, source, axes) if axes is not None else None
    if axes is None or spread is None:
        return None
    nodes = tuple(dict.fromkeys((mean, centre, *spread, *division.nodes)))
    tail, constants = _affine(division.nodes[-1], axes)
    nodes += tail
    if not is_closed(nodes):
        return None
    return Pattern(op_type="LayerNormalization", nodes=nodes, inputs=places(nodes, source), constants=constants)


@dataclass(frozen=True)
class _Spread:
    """``sqrt(mean(square) + eps)``: its nodes in order, the square first, and the axes of the mean."""

    square: ir.Node
    nodes: tuple[ir.Node, ...]
    axes: Axes


def _spread(division: Quotient) -> _Spread | None:
    """What divides, if it is the root of a mean of squares and an epsilon."""
    root: tuple[ir.Node, ...] = ()
    variance: ir.Value | None = division.denominator
    if division.power == 1.0:
        node = producer(variance, "Sqrt", "Pow")
        if node is None or (node.op_type == "Pow" and scalar(node.inputs[1]) != 0.5):
            return None
        root, variance = (node,), node.inputs[0]
    elif division.power != 0.5:
        return None
    offset = producer(variance, "Add")
    if offset is None:
        return None
    index = 0 if scalar(offset.inputs[1]) is not None else 1
    mean = producer(offset.inputs[index], "ReduceMean")
    axes = reduced_axes(mean) if mean is not None else None
    if mean is None or axes is None or scalar(offset.inputs[1 - index]) is None:
        return None
    square = producer(mean.inputs[0], "Pow", "Mul")
    return None if square is None else _Spread(square, (square, mean, offset, *root), axes)


def _deviation(division: Quotient, source: ir.Value, axes: Axes) -> tuple[ir.Node, ...] | None:
    """Nodes that compute the standard deviation, or None if that is not what divides."""
    spread = _spread(division)
    if spread is None or spread.axes != axes:
        return None
    difference = _difference(spread.square, source, axes)
    return None if difference is None else (*difference, *spread.nodes)


def _is_square(square: ir.Node) -> bool:
    if square.op_type == "Pow":
        return scalar(square.inputs[1]) == 2.0
    return square.inputs[0] is square.inputs[1]


def _difference(square: ir.Node, source: ir.Value, axes: Axes) -> tuple[ir.Node, ...] | None:
    """Nodes of the squared difference, or None if it is no difference of ``source`` and its mean."""
    if not _is_square(square):
        return None
    centre = producer(square.inputs[0], "Sub")
    mean = producer(centre.inputs[1], "ReduceMean") if centre is not None else None
    if centre is None or mean is None or centre.inputs[0] is not source or mean.inputs[0] is not source:
        return None
    return (mean, centre) if reduced_axes(mean) == axes else None


def _affine(
    division: ir.Node, axes: Axes, op_types: tuple[str, ...] = ("Mul", "Add")
) -> tuple[tuple[ir.Node, ...], tuple[tuple[ir.Node, int], ...]]:
    """The Mul and Add by constants that follow."""
    tail: list[ir.Node] = []
    constants: list[tuple[ir.Node, int]] = []
    value = division.outputs[0]
    for op_type in op_types:
        node = only_reader(value)
        if node is None or node.op_type != op_type:
            continue
        index = 1 if node.inputs[0] is value else 0
        other = node.inputs[index]
        if other is None or other.const_value is None or not _lies_along(other, axes):
            continue
        tail.append(node)
        if other.const_value.size > 1:
            constants.append((node, index))
        value = node.outputs[0]
    return tuple(tail), tuple(constants)


def _lies_along(constant: ir.Value, axes: Axes) -> bool:
    """Whether a constant varies along the normalised axes only."""
    sizes = constant.const_value.shape.numpy() if constant.const_value is not None else ()
    return all(size == 1 or i - len(sizes) in axes for i, size in enumerate(sizes))
