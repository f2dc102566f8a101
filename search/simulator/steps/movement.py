"""Steps that put values elsewhere, and operators taken from ONNX as they are."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from search.simulator.rescale import Int64Array, Rescale
from search.simulator.steps.base import Operand, Step


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Step):
    """Concatenation: every operand is brought to the output's grid, ``sat(rs(x', r))``; None where it is there."""

    operands: tuple[Operand, ...]
    rescales: tuple[Rescale | None, ...]
    axis: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PadWith(Step):
    """Pad with a constant: ``sat(rs(x', r))`` (None: grids equal), then ``value`` (with zero point) around it."""

    input: str
    pads: tuple[int, ...]
    value: int
    rescale: Rescale | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Lookup(Step):
    """Gather from a constant table of integers (on the output's grid, with zero point) by a value of indices."""

    table: Int64Array
    indices: str
    axis: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Move(Step):
    """An operator that only moves values (Reshape, Transpose, Slice, ...) applied to integers.

    ``node`` has names of this program's values, ``more`` are further outputs (Split). It moves ``x'``, so Pad with
    zero pads with the zero point.
    """

    node: onnx.NodeProto
    more: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Float(Step):
    """Any operator in float (or on shapes): ``node`` as it is, with names of this program's values.

    ``more`` are further outputs.
    """

    node: onnx.NodeProto
    more: tuple[str, ...] = ()
