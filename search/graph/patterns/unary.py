"""Unary functions that an exporter split: GELU (erf and tanh form), SiLU, HardSwish, Mish.

A candidate is a closed set of elementwise nodes with one activation input and scalar constants. It is recognised by
what it computes: its values on a grid of points equal those of a known function. So every way of writing the formula
is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import scipy

from search.graph.patterns.match import Pattern, is_closed, places, scalar

Array = npt.NDArray[np.float64]

_FAR = (10.0, 20.0, 50.0, 100.0)  # an outer Clip shows only there
_POINTS: Array = np.concatenate([np.linspace(-7.0, 7.0, 113), _FAR, np.negative(_FAR)])
_TOLERANCE = 2e-3  # the tanh form of GELU is within 5e-4 of the erf form
_MAX_NODES = 12


def _sigmoid(x: Array) -> Array:
    return np.asarray(scipy.special.expit(x))


@cache
def known_functions() -> dict[str, Array]:
    """Values of the known functions on the grid of points."""
    return {
        "Gelu": 0.5 * _POINTS * (1.0 + scipy.special.erf(_POINTS / np.sqrt(2.0))),
        "Silu": _POINTS * _sigmoid(_POINTS),
        "HardSwish": _POINTS * np.clip(_POINTS + 3.0, 0.0, 6.0) / 6.0,
        "Mish": _POINTS * np.tanh(np.logaddexp(0.0, _POINTS)),
    }


_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Max": np.maximum,
    "Min": np.minimum,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Pow": np.power,
}
_UNARY: dict[str, Callable[[Array], Array]] = {
    "Erf": lambda x: np.asarray(scipy.special.erf(x)),
    "Tanh": np.tanh,
    "Sigmoid": _sigmoid,
    "Relu": lambda x: np.maximum(x, 0.0),
    "Softplus": lambda x: np.logaddexp(0.0, x),
    "Reciprocal": lambda x: 1.0 / x,
    "Log": np.log,
    "Neg": np.negative,
    "Exp": np.exp,
}
_ELEMENTWISE = frozenset(_BINARY) | frozenset(_UNARY) | {"Clip", "HardSigmoid"}
_ENDS = frozenset({"Mul", "Div"})


def match_unary(last: ir.Node) -> Pattern | None:
    """Return the known function that ends in ``last``, or None."""
    if last.op_type not in _ENDS:
        return None
    members: list[ir.Node] = [last]
    while len(members) <= _MAX_NODES:
        frontier = _frontier(members)
        if frontier is None:
            return None
        if len(frontier) == 1 and (found := _recognise(members, frontier[0])) is not None:
            return found
        grown = _grow(members, frontier)
        if grown is None:
            return None
        members.append(grown)
    return None


def _frontier(members: list[ir.Node]) -> list[ir.Value] | None:
    """Values read from outside that are no scalars; None if a constant with several values is read."""
    inside = {value for node in members for value in node.outputs}
    found: dict[ir.Value, None] = {}
    for node in members:
        for value in node.inputs:
            if value is None or value in inside or scalar(value) is not None:
                continue
            if value.const_value is not None:
                return None
            found[value] = None
    return list(found)


def _grow(members: list[ir.Node], frontier: list[ir.Value]) -> ir.Node | None:
    """The next node to take in: an elementwise writer of a frontier value all of whose readers are members."""
    inside = set(members)
    for value in frontier:
        node = value.producer()
        if node is None or node.op_type not in _ELEMENTWISE or value.is_graph_output():
            continue
        if all(use.node in inside for use in value.uses()):
            return node
    return None


def _recognise(members: list[ir.Node], source: ir.Value) -> Pattern | None:
    if len(members) < 2:
        return None
    nodes = _in_order(members)
    if not is_closed(nodes):
        return None
    with np.errstate(all="ignore"):
        values = _evaluate(nodes, source)
    if values is None:
        return None
    for name, expected in known_functions().items():
        if values.shape == expected.shape and bool(np.all(np.abs(values - expected) <= _TOLERANCE)):
            return Pattern(op_type=name, nodes=nodes, inputs=places(nodes, source))
    return None


def _in_order(members: list[ir.Node]) -> tuple[ir.Node, ...]:
    """Topological order of a set that was grown from its end."""
    remaining = list(reversed(members))
    done: list[ir.Node] = []
    written: set[ir.Value] = set()
    inside = {value for node in members for value in node.outputs}
    while remaining:
        ready = next(n for n in remaining if all(v is None or v not in inside or v in written for v in n.inputs))
        remaining.remove(ready)
        done.append(ready)
        written.update(ready.outputs)
    return tuple(done)


def _evaluate(nodes: tuple[ir.Node, ...], source: ir.Value) -> Array | None:
    known: dict[ir.Value, Array] = {source: _POINTS}
    for node in nodes:
        args = [_argument(known, value) for value in node.inputs if value is not None]
        result = None if any(arg is None for arg in args) else _apply(node, [arg for arg in args if arg is not None])
        if result is None:
            return None
        known[node.outputs[0]] = result
    return known[nodes[-1].outputs[0]]


def _argument(known: Mapping[ir.Value, Array], value: ir.Value) -> Array | None:
    number = scalar(value)
    return np.full_like(_POINTS, number) if number is not None else known.get(value)


def _apply(node: ir.Node, args: list[Array]) -> Array | None:
    if node.op_type in _BINARY and len(args) == 2:
        return _BINARY[node.op_type](args[0], args[1])
    if node.op_type in _UNARY and len(args) == 1:
        return _UNARY[node.op_type](args[0])
    if node.op_type == "Clip":
        return _clip(node, args)
    if node.op_type == "HardSigmoid":
        alpha = node.attributes["alpha"].as_float() if "alpha" in node.attributes else 0.2
        beta = node.attributes["beta"].as_float() if "beta" in node.attributes else 0.5
        return np.clip(alpha * args[0] + beta, 0.0, 1.0)
    return None


def _clip(node: ir.Node, args: list[Array]) -> Array:
    """Clip of ``args[0]``; either bound may be absent, and ``args`` holds only those that are not."""
    bounds = iter(args[1:])
    present = [value is not None for value in (*node.inputs[1:], None, None)[:2]]
    low = next(bounds) if present[0] else np.full_like(args[0], -np.inf)
    high = next(bounds) if present[1] else np.full_like(args[0], np.inf)
    return np.minimum(np.maximum(args[0], low), high)
