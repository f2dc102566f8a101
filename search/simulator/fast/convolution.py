"""Convolutions as exact float32 sums over limbs (see ``limbs``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from search.simulator.fast.graph import Graph
from search.simulator.fast.limbs import Plan, plan
from search.simulator.fast.whole import EXACT_SINGLE, Whole, as_double
from search.simulator.program import Window
from search.simulator.rescale import Int64Array


@dataclass(frozen=True)
class Part:
    """One float32 tensor of a sum: multiples of ``2**unit``, at most ``bound`` of them."""

    name: str
    unit: int
    bound: int


@dataclass(frozen=True)
class Sums:
    """Sums of products, and whether the bias is in them."""

    whole: Whole
    has_bias: bool


@dataclass(frozen=True)
class Convolution:
    """Sums of products of one convolution.

    Attributes:
        graph: Where operators are appended.
        window: Its geometry.
        is_transposed: Whether it is a ConvTranspose.
    """

    graph: Graph
    window: Window
    is_transposed: bool

    def channel_sums(self, sizes: Int64Array) -> Int64Array:
        """Sum of the weights of each output channel ``[M]``; no place of a ConvTranspose sees more than all of them."""
        if not self.is_transposed:
            return np.asarray(sizes.reshape(sizes.shape[0], -1).sum(axis=1))
        group = self.window.group
        by_group = sizes.reshape(group, sizes.shape[0] // group, sizes.shape[1], -1)
        return np.asarray(by_group.sum(axis=(1, 3)).ravel())

    def sums(self, x: Whole, weights: Int64Array, bias: Int64Array | None, bound: int) -> Sums:
        """Return the sums of products.

        Args:
            x: Input ``[N, C, in...]``.
            weights: As in ONNX.
            bias: ``[]`` or ``[M]``, added where there is room; None where it must not be.
            bound: Largest absolute sum of products.
        """
        planned = plan(weights, x.bound, self.channel_sums)
        if self._is_pointwise and len(planned.products) > 1:
            return Sums(self._product(x, weights, bound), has_bias=False)
        parts, has_bias = self._parts(x, planned, bias)
        size = int(np.abs(bias).max(initial=0)) if has_bias and bias is not None else 0
        return Sums(summed(self.graph, parts, bound + size), has_bias=has_bias)

    @property
    def _is_pointwise(self) -> bool:
        """Whether it is a matrix times the channels of every place."""
        window = self.window
        ones = (*window.kernel, *window.strides, window.group)
        return not self.is_transposed and set(ones) == {1} and not any(window.pads)

    def _product(self, x: Whole, weights: Int64Array, bound: int) -> Whole:
        """One float64 product instead of two and more in float32: as much work, and nothing to put together."""
        graph = self.graph
        places = graph.add("Reshape", graph.doubled(x.name), graph.int64([0, 0, -1]))
        y = graph.add("MatMul", graph.float64(weights.reshape(weights.shape[0], -1)), places)
        front = graph.add("Concat", graph.int64([0, -1]), graph.add("Shape", x.name, start=2), axis=0)
        return Whole(graph.add("Reshape", y, front), bound, is_double=True)

    def _parts(self, x: Whole, planned: Plan, bias: Int64Array | None) -> tuple[list[Part], bool]:
        """Return the float32 tensors whose sum is the accumulator, and whether the bias is in one of them."""
        limbs = cut(self.graph, x.name, planned.cuts)
        takes_bias = bias is not None and self._takes_bias(planned, bias)
        found = []
        for product in planned.products:
            added = bias if takes_bias and product is planned.products[-1] else None
            name = self._convolved(limbs[product.limb], product.weights, added)
            size = 0 if added is None else int(np.abs(added).max(initial=0))
            found.append(Part(name, product.unit, product.bound + size))
        return merged(self.graph, found), takes_bias

    def _takes_bias(self, planned: Plan, bias: Int64Array) -> bool:
        """Whether the last sum, whose unit is 1, has room for the bias of every channel."""
        last = planned.products[-1]
        largest = int(np.abs(bias).max(initial=0))
        return bias.ndim <= 1 and last.bound + largest <= EXACT_SINGLE

    def _convolved(self, x: str, weights: Int64Array, bias: Int64Array | None) -> str:
        graph, window = self.graph, self.window
        inputs = [x, graph.float32(weights)]
        if bias is not None:
            channels = weights.shape[1] * window.group if self.is_transposed else weights.shape[0]
            inputs.append(graph.float32(np.broadcast_to(bias, (channels,))))
        attributes: dict[str, Any] = {
            "kernel_shape": list(window.kernel),
            "strides": list(window.strides),
            "pads": list(window.pads),
            "dilations": list(window.dilations),
            "group": window.group,
        }
        if self.is_transposed and window.output_padding:
            attributes["output_padding"] = list(window.output_padding)
        return graph.add("ConvTranspose" if self.is_transposed else "Conv", *inputs, **attributes)


def cut(graph: Graph, x: str, units: tuple[int, ...]) -> list[str]:
    """Return the limbs of a float32 tensor of integers below ``2**17``.

    ``(x + M) - M`` with ``M = 1.5 * 2**(23+k)`` rounds to a multiple of ``2**k``, which is the ulp of float32 there.
    """
    limbs, left = [], x
    for unit in units:
        magic = graph.float32(1.5 * 2.0 ** (23 + unit))
        coarse = graph.add("Sub", graph.add("Add", left, magic), magic)
        limbs.append(coarse)
        left = graph.add("Sub", left, coarse)
    return [*limbs, left]


def merged(graph: Graph, parts: list[Part]) -> list[Part]:
    """Add parts in float32 where the sum is exact: it is below ``2**24`` of the smaller unit."""
    kept: list[Part] = []
    for part in parts:
        other = next((one for one in kept if _sum_bound(one, part) <= EXACT_SINGLE), None)
        if other is None:
            kept.append(part)
            continue
        bound, unit = _sum_bound(other, part), min(other.unit, part.unit)
        kept[kept.index(other)] = Part(graph.add("Add", other.name, part.name), unit, bound)
    return kept


def summed(graph: Graph, parts: list[Part], bound: int) -> Whole:
    """The sum of the parts: float32 where there is one, else float64."""
    if len(parts) == 1 and parts[0].unit == 0:
        return Whole(parts[0].name, parts[0].bound)
    if len(parts) == 1 and bound <= EXACT_SINGLE:
        return Whole(parts[0].name, bound)
    total = graph.doubled(parts[0].name)
    for part in parts[1:]:
        total = graph.add("Add", total, graph.doubled(part.name))
    return Whole(total, bound, is_double=True)


def added(graph: Graph, a: Whole, b: Whole) -> Whole:
    """``a + b``, in float32 where that is exact."""
    bound = a.bound + b.bound
    if not a.is_double and not b.is_double and bound <= EXACT_SINGLE:
        return Whole(graph.add("Add", a.name, b.name), bound)
    return Whole(graph.add("Add", as_double(graph, a).name, as_double(graph, b).name), bound, is_double=True)


def _sum_bound(a: Part, b: Part) -> int:
    """Bound of the sum in the smaller unit."""
    unit = min(a.unit, b.unit)
    return (a.bound << (a.unit - unit)) + (b.bound << (b.unit - unit))
