"""Remove nodes that return their input: Identity, Dropout, Cast to the same type, Reshape to the same shape, ..."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from search.graph.notes import Changes
from search.graph.values import bypass, constant_array, known_shape

_INT32_MAX = 2**31 - 1


def drop_no_effect(graph: ir.Graph) -> Changes:
    """Remove nodes of the main graph whose output always equals their input.

    1. Identity; Concat, Sum, Mean, Max, Min of one input; Dropout outside training whose mask nobody reads.
    2. Cast to the type the input has. Transpose that keeps the order of axes. Flatten(axis=1) of a matrix.
    3. Pad by nothing. Slice from 0 to the end in steps of 1. Expand to ones.
    4. Reshape whose constant target repeats the input's sizes, with at most one size left open.
    5. A node between a graph input (or constant, or another output) and a graph output stays: ``values.bypass``.

    Constants that control a node (target, pads, ends) must be initializers; sizes must be known.
    """
    changes = Changes()
    for node in list(graph):
        rule = _RULES.get(node.op_type)
        if rule is None or node.domain != "" or not node.inputs or node.inputs[0] is None or not rule(node):
            continue
        removed = bypass(node, node.inputs[0], why=f"{node.op_type} returns its input unchanged.")
        if removed is not None:
            changes.add(removed)
    return changes


def _always(_: ir.Node) -> bool:
    return True


def _one_input(node: ir.Node) -> bool:
    return len(node.inputs) == 1


def _dropout(node: ir.Node) -> bool:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    array = constant_array(training)
    return training is None or (array is not None and not array.any())


def _cast(node: ir.Node) -> bool:
    source = node.inputs[0]
    return source is not None and source.dtype is not None and int(source.dtype) == node.attributes["to"].as_int()


def _transpose(node: ir.Node) -> bool:
    order = node.attributes.get("perm")
    shape = known_shape(node.inputs[0])
    if order is None:
        return shape is not None and len(shape) < 2
    return list(order.as_ints()) == list(range(len(order.as_ints())))


def _flatten(node: ir.Node) -> bool:
    axis = node.attributes.get("axis")
    shape = known_shape(node.inputs[0])
    return shape is not None and len(shape) == 2 and (axis is None or axis.as_int() in (1, -1))


def _pad(node: ir.Node) -> bool:
    pads = constant_array(node.inputs[1])
    return pads is not None and not pads.any()


def _expand(node: ir.Node) -> bool:
    target, shape = constant_array(node.inputs[1]), known_shape(node.inputs[0])
    return target is not None and shape is not None and target.size <= len(shape) and bool((target == 1).all())


def _slice(node: ir.Node) -> bool:
    starts, ends = constant_array(node.inputs[1]), constant_array(node.inputs[2])
    if starts is None or ends is None or starts.any():
        return False
    steps = node.inputs[4] if len(node.inputs) > 4 else None
    step_array = constant_array(steps)
    if steps is not None and (step_array is None or (step_array != 1).any()):
        return False
    if all(int(end) >= _INT32_MAX for end in ends):
        return True
    axes_value, shape = (node.inputs[3] if len(node.inputs) > 3 else None), known_shape(node.inputs[0])
    axes = range(ends.size) if axes_value is None else constant_array(axes_value)
    if axes is None or shape is None:
        return False
    sizes = [shape[int(axis)] for axis in axes]
    return all(size is not None and int(end) >= size for end, size in zip(ends, sizes, strict=True))


def _reshape(node: ir.Node) -> bool:
    target, shape = constant_array(node.inputs[1]), known_shape(node.inputs[0])
    zero_is_zero = node.attributes.get("allowzero")
    if target is None or shape is None or target.size != len(shape):
        return False
    if zero_is_zero is not None and zero_is_zero.as_int():
        return False
    wanted = [int(size) for size in target]
    kept = sum(want in (0, size) for want, size in zip(wanted, shape, strict=True))
    return kept == len(wanted) or (kept == len(wanted) - 1 and wanted.count(-1) == 1 and _is_open(wanted, shape))


def _is_open(wanted: list[int], shape: tuple[int | None, ...]) -> bool:
    """Whether the one size that is not repeated is the ``-1``."""
    return all(want in (-1, 0, size) for want, size in zip(wanted, shape, strict=True))


_RULES: dict[str, Callable[[ir.Node], bool]] = {
    "Identity": _always,
    "Concat": _one_input,
    "Sum": _one_input,
    "Mean": _one_input,
    "Max": _one_input,
    "Min": _one_input,
    "Dropout": _dropout,
    "Cast": _cast,
    "Transpose": _transpose,
    "Flatten": _flatten,
    "Pad": _pad,
    "Expand": _expand,
    "Slice": _slice,
    "Reshape": _reshape,
}
