"""What every step is written with: the graph, the grids, and how a value becomes a tensor of integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from search.quant.grid import Grid
from search.simulator.fast.graph import Graph, Laying
from search.simulator.fast.requantize import Requantizer
from search.simulator.fast.whole import Landing, Whole, landing, reach
from search.simulator.program import Fixed, Operand
from search.simulator.rescale import Rescale, Rounding


@dataclass(frozen=True)
class Watched:
    """A scalar output: the largest absolute accumulator of a gemm.

    Attributes:
        output: Name in the graph.
        node: User's name.
        bits: Width the accumulator should fit.
    """

    output: str
    node: str
    bits: int


@dataclass(frozen=True)
class Context:
    """A program on its way into a graph. An integer value ``x`` stands in the graph as float32 ``x'`` under its name.

    Attributes:
        graph: What is built.
        grids: Of the integer values.
        rounding: Of the chip.
        watched: Accumulators whose size has to be looked at while running.
    """

    graph: Graph
    grids: Mapping[str, Grid]
    rounding: Rounding
    watched: list[Watched] = field(default_factory=list)

    def whole(self, operand: Operand) -> Whole:
        """``x'`` of an operand."""
        if isinstance(operand, Fixed):
            bound = int(np.abs(operand.values).max(initial=0))
            return Whole(self.graph.float32(operand.values), bound)
        return Whole(operand, reach(self.grid(operand)))

    def grid(self, name: str) -> Grid:
        """Return the grid of an integer value.

        Raises:
            ValueError: If the value is no integer value.
        """
        try:
            return self.grids[name]
        except KeyError:
            raise ValueError(f"The value {name!r} has no grid, but a step needs its integers.") from None

    def landing(self, output: str) -> Landing:
        """All of the grid of a value."""
        return landing(self.grid(output))

    def requantizer(self, lay: Laying | None = None, channel_axis: int | None = None) -> Requantizer:
        """The requantizer of the chip; factors broadcast as they are unless ``lay`` says otherwise."""
        return Requantizer(self.graph, self.rounding, lay or self.graph.constant, channel_axis)

    def landed(self, whole: Whole, rescale: Rescale | None, output: str) -> str:
        """``sat(rs(x', r))`` in float32; without a rescale only what does not fit is cut."""
        to = self.landing(output)
        if rescale is not None:
            return self.requantizer().land(whole, rescale, to)
        if whole.bound <= min(-to.low, to.high):
            return whole.name
        return self.graph.add("Clip", whole.name, self.graph.float32(to.low), self.graph.float32(to.high))

    def name(self, value: str, output: str) -> None:
        """Give a computed tensor the name of the program's value."""
        self.graph.add("Identity", value, output=output)
