"""Add, Sum, Sub, Neg, Mul and Div of integers, constants and scalars.

Scalars fold into factors (Mul, Div) or into what is added (Add, Sub). See docs/numerics.md#lowering.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from search.evaluation.lowering.group_context import GroupContext, Quantity
from search.simulator.making.factors import sum_factors
from search.simulator.program import Fixed, Product, Quotient, Sum

_NUMERATOR = 2**15 - 1
"""A scalar that is divided is held as this integer, so that the quotient keeps its bits."""


def lower_elementwise(context: GroupContext) -> bool:
    """Append the operator; False where it has no integer form."""
    other = _OTHER_ARITY.get(context.nodes[0].op_type)
    if other is not None:
        return other(context)
    node = context.nodes[0]
    if len(node.input) != 2 or not _is_bounded_by_its_grid(context):
        return False
    a, b = _operand(context, node, 0), _operand(context, node, 1)
    if a is None or b is None or (isinstance(a, float) and isinstance(b, float)):
        return False
    op_type = node.op_type
    if op_type in ("Add", "Sub"):
        return _sum(context, [(a, 1), (b, -1 if op_type == "Sub" else 1)])
    if op_type == "Mul":
        return _product(context, a, b)
    return _quotient(context, a, b) if op_type == "Div" else False


def _many(context: GroupContext) -> bool:
    operands = [_operand(context, context.node, i) for i in range(len(context.node.input))]
    values = [one for one in operands if one is not None]
    return len(values) == len(operands) and _sum(context, [(value, 1) for value in values])


def _is_bounded_by_its_grid(context: GroupContext) -> bool:
    """Whether a Relu that joined the operator is the lower end of the grid it writes; true where nothing joined."""
    behind = context.nodes[1:]
    return not behind or (behind[0].op_type == "Relu" and context.out_grid is not None and context.out_grid.low == 0.0)


def _operand(context: GroupContext, node: onnx.NodeProto, index: int) -> Quantity | float | None:
    """Integers, a scalar, or None for what is neither."""
    return context.operand(node, index) or context.scalar(node, index)


def _sum(context: GroupContext, signed: list[tuple[Quantity | float, int]]) -> bool:
    values = [(one, sign) for one, sign in signed if isinstance(one, Quantity)]
    scale = _out_scale(context)
    made = sum_factors(
        [one.scale / scale for one, _ in values],
        context.widths,
        node=context.name,
        reach=[one.reach for one, _ in values],
        constant=sum(one * sign for one, sign in signed if isinstance(one, float)) / scale,
    )
    context.warn(made.warnings)
    return context.done(
        Sum(
            name=context.name,
            output=context.output,
            operands=tuple(one.operand for one, _ in values),
            signs=tuple(sign for _, sign in values),
            multipliers=made.multipliers,
            shift=made.shift,
            constant=made.constant,
        )
    )


def _product(context: GroupContext, a: Quantity | float, b: Quantity | float) -> bool:
    if isinstance(a, float):
        a, b = b, a
    if isinstance(a, float):
        return False
    if isinstance(b, float):
        return _scaled(context, a, b)
    if isinstance(a.operand, Fixed):
        a, b = b, a
    rescale = context.rescale(a.scale * b.scale / _out_scale(context))
    return context.done(
        Product(name=context.name, output=context.output, a=a.operand, b=b.operand, sign=1, rescale=rescale)
    )


def _scaled(context: GroupContext, a: Quantity, factor: float) -> bool:
    """``a`` times a number."""
    rescale = context.rescale(abs(factor) * a.scale / _out_scale(context))
    sign = -1 if factor < 0 else 1
    return context.done(
        Product(name=context.name, output=context.output, a=a.operand, b=None, sign=sign, rescale=rescale)
    )


def _quotient(context: GroupContext, a: Quantity | float, b: Quantity | float) -> bool:
    if isinstance(b, float):
        return False if b == 0 or isinstance(a, float) else _scaled(context, a, 1.0 / b)
    if isinstance(a, float):
        sign = (a > 0) - (a < 0)
        scale = abs(a) / _NUMERATOR if a else 1.0
        a = Quantity(Fixed(np.asarray(sign * _NUMERATOR, np.int64)), scale, _NUMERATOR)
    rescale = context.rescale(a.scale / (b.scale * _out_scale(context)))
    return context.done(Quotient(name=context.name, output=context.output, a=a.operand, b=b.operand, rescale=rescale))


def _negated(context: GroupContext) -> bool:
    read = context.operand(context.node, 0)
    return read is not None and _scaled(context, read, -1.0)


_OTHER_ARITY: dict[str, Callable[[GroupContext], bool]] = {"Sum": _many, "Neg": _negated}


def _out_scale(context: GroupContext) -> float:
    if context.out_grid is None:
        raise ValueError(f"{context.name!r} writes no integers.")
    return context.out_grid.scale
