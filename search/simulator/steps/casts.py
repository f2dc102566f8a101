"""Steps between float and integers, between grids, and to binary16."""

from __future__ import annotations

from dataclasses import dataclass

from search.simulator.rescale import Rescale
from search.simulator.steps.base import Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantize(Step):
    """Float to integers: ``clamp(rne(x / scale) + zero_point)`` in float32, as QuantizeLinear does."""

    input: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Dequantize(Step):
    """Integers to float32: ``float32(x') * float32(scale)``, as DequantizeLinear does."""

    input: str


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundHalf(Step):
    """float32 to the nearest binary16 and back; with ``prescale`` k it is ``half(x * 2**-k) * 2**k``."""

    input: str
    prescale: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Requantize(Step):
    """Integers to another grid: ``sat(rs(x', r))``; also what a cast between int8 and int16 is."""

    input: str
    rescale: Rescale
