"""Sums of products in float32 that are exact: how many pieces the two factors are cut into.

A float32 sum of integer products is exact in any order, with or without fused multiply-add, while
``sum |w| * max |x| <= 2**24`` for every output channel, because then every partial sum is an integer below ``2**24``.
Where it is not, values are cut into *limbs*, multiples of ``2**k``: ``x = x_1 + x_0`` with
``x_1 = rne(x / 2**k) * 2**k``, ``|x_0| <= 2**(k-1)``, and the same for weights. A sum over limbs is a multiple of the
product of their units, so it is exact while it stays below ``2**24`` of *these*. The fewest products that all satisfy
this for the weights at hand are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from search.simulator.fast.whole import EXACT_SINGLE
from search.simulator.rescale import Int64Array

MOST_LIMBS = 4

ChannelSums = Callable[[Int64Array], Int64Array]
"""Sum of absolute weights of each output channel."""


@dataclass(frozen=True, eq=False)
class Product:
    """One sum of products over a limb of ``x`` and a limb of the weights.

    Attributes:
        limb: Which limb of ``x``, from the coarsest.
        weights: The limb of the weights, multiples of their unit.
        unit: Of the sums: they are multiples of ``2**unit``.
        bound: Largest absolute sum in this unit.
    """

    limb: int
    weights: Int64Array
    unit: int
    bound: int


@dataclass(frozen=True, eq=False)
class Plan:
    """How ``x`` is cut, and the products to add up.

    Attributes:
        cuts: Exponents of the units of the limbs of ``x`` but the last, falling; empty where ``x`` stays whole.
        products: Coarsest first.
    """

    cuts: tuple[int, ...]
    products: tuple[Product, ...]


def plan(weights: Int64Array, reach: int, channel_sums: ChannelSums) -> Plan:
    """Return the plan with the fewest products.

    Args:
        weights: Integers.
        reach: Largest ``|x|``.
        channel_sums: Sums of absolute weights per output channel.

    Raises:
        ValueError: If not even the finest cut is exact: more than about a million values per sum.
    """
    largest = int(np.abs(weights).max(initial=0))
    for n_x, n_w in _orders():
        found = _tried(weights, reach, channel_sums, cuts(reach, n_x), cuts(largest, n_w))
        if found is not None:
            return found
    raise ValueError(f"A sum over {weights[0].size} values is too long for exact float32 sums.")


def cuts(reach: int, n_limbs: int) -> tuple[int, ...]:
    """Exponents of the units of ``n_limbs`` limbs but the last, which is 1, falling."""
    if n_limbs == 1:
        return ()
    width = -(-max(reach.bit_length(), n_limbs) // n_limbs)
    return tuple(width * i for i in range(n_limbs - 1, 0, -1))


def split(values: Int64Array, units: tuple[int, ...]) -> list[Int64Array]:
    """Return the limbs of integers; their sum is ``values``."""
    limbs, left = [], values
    for unit in units:
        coarse = np.rint(np.ldexp(left.astype(np.float64), -unit)).astype(np.int64) << unit
        limbs.append(coarse)
        left = left - coarse
    return [*limbs, left]


def limb_bounds(reach: int, units: tuple[int, ...]) -> list[int]:
    """Largest absolute value of each limb, in its own unit."""
    bounds, left = [], reach
    for unit in units:
        bounds.append((left + (1 << (unit - 1))) >> unit)
        left = min(left, 1 << (unit - 1))
    return [*bounds, left]


def _orders() -> Iterator[tuple[int, int]]:
    """Numbers of limbs, the fewest products first; cutting weights costs nothing at run time, cutting ``x`` does."""
    pairs = [(n_x, n_w) for n_x in range(1, MOST_LIMBS + 1) for n_w in range(1, MOST_LIMBS + 1)]
    return iter(sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair[0])))


def _tried(
    weights: Int64Array, reach: int, channel_sums: ChannelSums, x_units: tuple[int, ...], w_units: tuple[int, ...]
) -> Plan | None:
    sums = [int(channel_sums(np.abs(limb)).max(initial=0)) for limb in split(weights, w_units)]
    products = []
    for i, (x_unit, x_bound) in enumerate(zip((*x_units, 0), limb_bounds(reach, x_units), strict=True)):
        for w_unit, limb, total in zip((*w_units, 0), split(weights, w_units), sums, strict=True):
            bound = (total >> w_unit) * x_bound
            if bound > EXACT_SINGLE:
                return None
            products.append(Product(limb=i, weights=limb, unit=x_unit + w_unit, bound=bound))
    return Plan(x_units, tuple(products))
