"""The ways to write ``a / b``: a Div, or a product with a reciprocal of ``b``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from search.graph.patterns.match import producer, scalar


@dataclass(frozen=True)
class Quotient:
    """A division.

    Attributes:
        numerator: ``a``.
        denominator: ``b``; for a power of ``-p`` the base, with ``power`` saying which.
        power: ``p`` of ``a / b**p``.
        nodes: Nodes of the division in topological order, the last one writes the quotient.
    """

    numerator: ir.Value
    denominator: ir.Value
    power: float
    nodes: tuple[ir.Node, ...]


def quotient(last: ir.Node) -> Iterator[Quotient]:
    """Yield every way to read ``last`` as a division.

    1. ``Div(a, b)``.
    2. ``Mul(a, r)`` in either order with ``r = Reciprocal(b)``, ``Div(1, b)`` or ``Pow(b, -p)``.
    """
    if last.op_type not in ("Div", "Mul") or len(last.inputs) != 2:
        return
    first, second = last.inputs
    if first is None or second is None:
        return
    if last.op_type == "Div":
        yield Quotient(first, second, 1.0, (last,))
        return
    for numerator, factor in ((first, second), (second, first)):
        inverse = producer(factor, "Reciprocal", "Div", "Pow")
        inner = _inverted(inverse) if inverse is not None else None
        if inverse is not None and inner is not None:
            yield Quotient(numerator, inner[0], inner[1], (inverse, last))


def _inverted(node: ir.Node) -> tuple[ir.Value, float] | None:
    """``(b, p)`` of a node that computes ``1 / b**p``."""
    base = node.inputs[1] if node.op_type == "Div" else node.inputs[0]
    if base is None:
        return None
    if node.op_type == "Reciprocal":
        return base, 1.0
    if node.op_type == "Div":
        return (base, 1.0) if scalar(node.inputs[0]) == 1.0 else None
    exponent = scalar(node.inputs[1])
    return (base, -exponent) if exponent is not None and exponent < 0 else None
