"""The values of one run: integers with their grids, floats as they are, and the overflows seen so far."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from search.arrays import Array
from search.quant.grid import Grid
from search.simulator.program import Fixed, Operand, Overflow
from search.simulator.rescale import Int64Array, Rescale, Rounding, apply


class Values:
    """Values by name. Integer values are int64 and carry their zero point; ``centered`` takes it off."""

    def __init__(self, grids: Mapping[str, Grid], rounding: Rounding) -> None:
        """Start empty."""
        self.rounding = rounding
        self.overflows: list[Overflow] = []
        self._grids = grids
        self._arrays: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        """Return a value as it is: integers with their zero point, or any other array.

        Raises:
            ValueError: If no step made it yet.
        """
        try:
            return self._arrays[name]
        except KeyError:
            raise ValueError(f"No step before this one makes the value {name!r}.") from None

    def __setitem__(self, name: str, array: Array) -> None:
        """Keep a value."""
        self._arrays[name] = array

    def __contains__(self, name: object) -> bool:
        """Whether the value exists already."""
        return name in self._arrays

    def grid(self, name: str) -> Grid:
        """Return the grid of an integer value.

        Raises:
            ValueError: If the value is no integer value.
        """
        try:
            return self._grids[name]
        except KeyError:
            raise ValueError(f"The value {name!r} has no grid, but a step needs its integers.") from None

    def is_integer(self, name: str) -> bool:
        """Whether the value is integers on a grid."""
        return name in self._grids

    def centered(self, operand: Operand) -> Int64Array:
        """Return ``x'``: the integers of an operand without zero point."""
        if isinstance(operand, Fixed):
            return operand.values
        return np.asarray(self[operand] - self.grid(operand).zero_point, np.int64)

    def rescaled(self, v: Int64Array, rescale: Rescale | None, *, axis: int | None = None) -> Int64Array:
        """Return ``rs(v, r)``, or ``v`` where there is nothing to rescale."""
        return v if rescale is None else apply(v, rescale, self.rounding, axis=axis)

    def saturated(self, v: Int64Array, output: str) -> Int64Array:
        """Return ``sat(v)``: with the zero point of the output's grid, held inside it."""
        grid = self.grid(output)
        return np.asarray(np.clip(v, grid.qmin - grid.zero_point, grid.qmax - grid.zero_point) + grid.zero_point)
