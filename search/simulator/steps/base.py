"""What every step has, and what its operands are.

Common to the formulas of all steps: ``x'`` is ``x - zero_point`` of the value's grid; ``rs(v, r)`` is
``round_shift(v * r.multiplier, r.shift)``; ``sat(v)`` is ``clamp(v + zero_point, qmin, qmax)`` of the output's grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from search.simulator.rescale import Int64Array


@dataclass(frozen=True, eq=False)
class Fixed:
    """A constant operand: integers without zero point (already taken off), exactly as they enter the arithmetic."""

    values: Int64Array


Operand: TypeAlias = str | Fixed
"""A value by name, or a constant."""


@dataclass(frozen=True)
class Window:
    """Geometry of a convolution or pooling, as in ONNX; all lists over the spatial axes (pads: begins, then ends).

    ``output_padding`` is for ConvTranspose alone.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int = 1
    output_padding: tuple[int, ...] = ()
    ceil_mode: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One thing the chip does.

    Attributes:
        name: User's name of the node it comes from, for messages.
        output: The value it makes.
    """

    name: str
    output: str
