"""Write an Einsum as the MatMul, Transposes and sums it is.

Indices of two operands are of four kinds: *batch* (in both and in the result), *rows* (only left), *columns* (only
right), *summed* (in both, not in the result). ``MatMul([batch, rows, summed], [batch, summed, columns])`` computes
``[batch, rows, columns]``; Transposes bring the operands there and the result back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from search.graph.notes import Changes
from search.graph.operators import FLOAT_TYPES, attribute_text
from search.graph.values import Scope, constant_array, known_shape

Indices = tuple[str, ...]


def write_einsums_as_products(graph: ir.Graph) -> Changes:
    """Rewrite every Einsum of the main graph that is one MatMul, or a Transpose and a sum.

    1. Two operands with indices that are summed: a MatMul of the Einsum's name. Several rows, columns or summed
       indices are put together by a Reshape, for which their sizes must be known (one may be open); rows or columns
       that are none are an axis of size 1.
    2. Two operands without: a Mul of the Einsum's name.
    3. One operand: a Transpose, before it a ReduceSum of the indices that the result lacks.
    4. Left alone: three operands and more, an index twice in one operand, an index that one operand alone sums over
       where there are two, an ellipsis over operands of unknown rank, numbers that are not real.
    """
    scope = Scope.of(graph)
    for node in list(graph):
        terms = _terms(node) if node.op_type == "Einsum" and node.domain == "" else None
        if terms is None:
            continue
        writer = _Writer(scope, node, terms)
        written = writer.product() if len(terms.operands) == 2 else writer.single()
        if written is not None:
            _replace(scope, node, written)
    return Changes()


@dataclass(frozen=True, slots=True)
class _Terms:
    """An equation with a name for every axis; the ellipsis is the names ``...1``, ``...2``, from the last one back."""

    operands: tuple[Indices, ...]
    result: Indices


def _terms(node: ir.Node) -> _Terms | None:
    left, arrow, right = attribute_text(node, "equation", "").replace(" ", "").partition("->")
    written = left.split(",")
    shapes = [known_shape(value) for value in node.inputs]
    output = node.outputs[0].dtype or (node.inputs[0].dtype if node.inputs[0] is not None else None)
    if output is None or output.name not in FLOAT_TYPES or len(written) != len(node.inputs) or len(written) > 2:
        return None
    operands = [_named(term, shape) for term, shape in zip(written, shapes, strict=True)]
    if any(one is None or len(set(one)) != len(one) for one in operands):
        return None
    named = tuple(one for one in operands if one is not None)
    dots = max((tuple(name for name in one if name.startswith("...")) for one in named), key=len)
    result = _result(right, dots) if arrow else _implied(named, dots)
    known = {name for one in named for name in one}
    return _Terms(named, result) if set(result) <= known and len(set(result)) == len(result) else None


def _named(term: str, shape: tuple[int | None, ...] | None) -> Indices | None:
    if "..." not in term:
        return tuple(term) if shape is None or len(term) == len(shape) else None
    if shape is None:
        return None
    before, _, after = term.partition("...")
    n_open = len(shape) - len(before) - len(after)
    return None if n_open < 0 else (*before, *(f"...{n_open - i}" for i in range(n_open)), *after)


def _result(term: str, dots: Indices) -> Indices:
    before, found, after = term.partition("...")
    return (*before, *(dots if found else ()), *after)


def _implied(operands: Sequence[Indices], dots: Indices) -> Indices:
    """Without an arrow: the ellipsis, then every index that stands once, in the order of the alphabet."""
    letters = [name for one in operands for name in one if not name.startswith("...")]
    return (*dots, *sorted(name for name in letters if letters.count(name) == 1))


class _Writer:
    """Writes one Einsum anew in front of it; lives only inside ``write_einsums_as_products``."""

    def __init__(self, scope: Scope, node: ir.Node, terms: _Terms) -> None:
        self._scope = scope
        self._node = node
        self._terms = terms
        self._name = node.name or ""
        self._sizes = _sizes(node, terms)

    def single(self) -> ir.Value | None:
        """The result of one operand."""
        (indices,), result = self._terms.operands, self._terms.result
        gone = [i for i, name in enumerate(indices) if name not in result]
        value = self._node.inputs[0]
        if value is None:
            return None
        if gone:
            axes = self._scope.add_constant(f"{self._name}/axes", np.asarray(gone, np.int64))
            value = self._append(
                "ReduceSum", [value, axes], "" if self._is_last(result, indices) else "sum", keepdims=0
            )
        left = tuple(name for name in indices if name in result)
        return value if left == result and gone else self._turned(value, left, result, "")

    def _is_last(self, result: Indices, indices: Indices) -> bool:
        return tuple(name for name in indices if name in result) == result

    def product(self) -> ir.Value | None:
        """The result of two operands; None where it is no product of two."""
        left, right = self._terms.operands
        result = self._terms.result
        if any(name not in result and (name in left) != (name in right) for name in (*left, *right)):
            return None
        batch = tuple(name for name in result if name in left and name in right)
        rows = tuple(name for name in result if name in left and name not in right)
        columns = tuple(name for name in result if name in right and name not in left)
        summed = tuple(name for name in left if name in right and name not in result)
        if not summed:
            return self._outer(batch, rows, columns)
        if any(self._may_stretch(name) for name in summed):
            return None
        if not batch and len(columns) == len(summed) == 1:  # a matrix on the right serves every row
            return self._matmul((*rows, *summed), (*summed, *columns), (*rows, *columns))
        together = (batch, rows, columns, summed)
        return self._together(*together) if all(map(self._is_known, (rows, columns, summed))) else None

    def _may_stretch(self, name: str) -> bool:
        """Whether one operand may have a single value where the other has many."""
        sizes = {size for one in self._sizes for key, size in one.items() if key == name}
        return name.startswith("...") or (1 in sizes and len(sizes) > 1)

    def _is_known(self, names: Indices) -> bool:
        """Whether a Reshape can put ``names`` together and take them apart."""
        return len(names) < 2 or sum(self._size(name) is None for name in names) <= 1

    def _size(self, name: str) -> int | None:
        sizes = [one[name] for one in self._sizes if name in one]
        return max((size for size in sizes if size is not None), default=None)

    def _matmul(self, left: Indices, right: Indices, written: Indices) -> ir.Value | None:
        a, b = self._node.inputs
        if a is None or b is None:
            return None
        a = self._turned(a, self._terms.operands[0], left, "left")
        b = self._turned(b, self._terms.operands[1], right, "right")
        is_last = written == self._terms.result
        product = self._append("MatMul", [a, b], "", is_named=True)
        return product if is_last else self._turned(product, written, self._terms.result, "result")

    def _together(self, batch: Indices, rows: Indices, columns: Indices, summed: Indices) -> ir.Value | None:
        a, b = self._node.inputs
        if a is None or b is None:
            return None
        a = self._turned(a, self._terms.operands[0], (*batch, *rows, *summed), "left")
        b = self._turned(b, self._terms.operands[1], (*batch, *summed, *columns), "right")
        is_plain = len(rows) == len(columns) == len(summed) == 1
        if not is_plain:
            a = self._reshaped(a, len(batch), (rows, summed), "left_matrix")
            b = self._reshaped(b, len(batch), (summed, columns), "right_matrix")
        product = self._append("MatMul", [a, b], "", is_named=True)
        if not is_plain:
            product = self._reshaped(product, len(batch), tuple((name,) for name in (*rows, *columns)), "apart")
        return self._turned(product, (*batch, *rows, *columns), self._terms.result, "result")

    def _reshaped(self, value: ir.Value, n_batch: int, parts: Sequence[Indices], what: str) -> ir.Value:
        """``value`` with the axes behind the batch as ``parts``; an open size is the ``-1`` of the Reshape."""
        sizes = [[self._size(name) for name in part] for part in parts]
        numbers = [-1 if None in part else int(np.prod([size or 0 for size in part], dtype=np.int64)) for part in sizes]
        target = self._scope.add_constant(
            f"{self._name}/{what}_sizes", np.asarray([*[0] * n_batch, *numbers], np.int64)
        )
        return self._append("Reshape", [value, target], what)

    def _outer(self, batch: Indices, rows: Indices, columns: Indices) -> ir.Value | None:
        """A product without a sum: both operands against ``[batch, rows, columns]``."""
        a, b = self._node.inputs
        if a is None or b is None:
            return None
        order = (*batch, *rows, *columns)
        a = self._turned(a, self._terms.operands[0], (*batch, *rows), "left")
        b = self._turned(b, self._terms.operands[1], (*batch, *columns), "right")
        a = self._widened(a, range(len(batch) + len(rows), len(order)), "left_wide")
        b = self._widened(b, range(len(batch), len(batch) + len(rows)), "right_wide")
        product = self._append("Mul", [a, b], "", is_named=True)
        return self._turned(product, order, self._terms.result, "result")

    def _widened(self, value: ir.Value, axes: Sequence[int], what: str) -> ir.Value:
        if not axes:
            return value
        given = self._scope.add_constant(f"{self._name}/{what}_axes", np.asarray(axes, np.int64))
        return self._append("Unsqueeze", [value, given], what)

    def _turned(self, value: ir.Value, order: Indices, wanted: Indices, what: str) -> ir.Value:
        if order == wanted and what:
            return value
        perm = [order.index(name) for name in wanted]
        array = constant_array(value)
        if array is not None and what:
            return self._scope.add_constant(f"{value.name}/{self._name}_{what}", array.transpose(perm))
        return self._append("Transpose", [value], what, perm=perm)

    def _append(
        self, op_type: str, inputs: list[ir.Value], what: str, *, is_named: bool = False, **attributes: object
    ) -> ir.Value:
        """Put a node in front of the Einsum, under its name or beside it."""
        name = self._name if is_named or not what else self._scope.node_name(f"{self._name}/{what}")
        node = ir.node(op_type, inputs, attributes=attributes or None, name=name)  # type: ignore[arg-type]
        node.outputs[0].name = self._scope.value_name(f"{self._name}/{what or 'product'}")
        node.outputs[0].type = self._node.outputs[0].type or inputs[0].type
        self._scope.graph.insert_before(self._node, node)
        return node.outputs[0]


def _sizes(node: ir.Node, terms: _Terms) -> tuple[dict[str, int | None], ...]:
    """Size of every index by operand; None where open or unknown."""
    found = []
    for value, names in zip(node.inputs, terms.operands, strict=True):
        shape = known_shape(value) or (None,) * len(names)
        found.append(dict(zip(names, shape, strict=True)))
    return tuple(found)


def _replace(scope: Scope, node: ir.Node, written: ir.Value) -> None:
    output = node.outputs[0]
    name = output.name
    written.shape, written.type = output.shape, output.type or written.type
    output.replace_all_uses_with(written, replace_graph_outputs=True)
    scope.graph.remove(node, safe=True)
    written.name = name
