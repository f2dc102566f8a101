"""Integers held in a float tensor, with a bound that says why they are exact there."""

from __future__ import annotations

from dataclasses import dataclass

from search.quant.grid import Grid
from search.simulator.fast.graph import Graph

EXACT_SINGLE = 1 << 24
"""Every integer up to it is a float32."""

EXACT_DOUBLE = 1 << 53
"""Every integer up to it is a float64."""


@dataclass(frozen=True)
class Whole:
    """A tensor of integers.

    Attributes:
        name: In the graph.
        bound: Largest absolute value.
        is_double: Whether it is float64; else it is float32.
    """

    name: str
    bound: int
    is_double: bool = False

    def __post_init__(self) -> None:
        limit = EXACT_DOUBLE if self.is_double else EXACT_SINGLE
        if self.bound > limit:
            raise ValueError(f"Integers up to {self.bound} are not exact in a float tensor that holds {limit}.")


@dataclass(frozen=True)
class Landing:
    """Where a result goes: a grid, and what of it may be used.

    Attributes:
        grid: Of the output.
        low: Smallest result without zero point.
        high: Largest.
    """

    grid: Grid
    low: int
    high: int


def landing(grid: Grid) -> Landing:
    """All of a grid."""
    return Landing(grid, grid.qmin - grid.zero_point, grid.qmax - grid.zero_point)


def reach(grid: Grid) -> int:
    """Largest ``|x'|`` on a grid."""
    return max(grid.zero_point - grid.qmin, grid.qmax - grid.zero_point)


def as_double(graph: Graph, whole: Whole) -> Whole:
    """The same integers in float64."""
    return whole if whole.is_double else Whole(graph.doubled(whole.name), whole.bound, is_double=True)
