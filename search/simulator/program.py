"""A quantized network as a list of integer steps: what the chip computes, free of ONNX's ways to write it.

Every value is a *name*. It is either integers on a ``Grid`` (held as integers, never as reals) or a float32 (or
foreign) array. The reference runs a program in int64 with NumPy; the fast way turns it into one float graph that gives
the same integers. What each step computes, with rounding and widths: docs/numerics.md#integer-arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from search.quant.grid import Grid
from search.simulator.rescale import Rescale, Widths
from search.simulator.steps.base import Fixed, Operand, Step, Window
from search.simulator.steps.casts import Dequantize, Quantize, Requantize, RoundHalf
from search.simulator.steps.elementwise import Product, Quotient, Rectify, Sum, Table
from search.simulator.steps.gemm import Gemm, Preload
from search.simulator.steps.movement import Concat, Float, Lookup, Move, PadWith
from search.simulator.steps.norms import EuclideanNorm, LayerNorm, Softmax
from search.simulator.steps.spatial import Interpolate, MaxPool, Mean, Pick

__all__ = [
    "Concat",
    "Dequantize",
    "EuclideanNorm",
    "Fixed",
    "Float",
    "Gemm",
    "Interpolate",
    "LayerNorm",
    "Lookup",
    "MaxPool",
    "Mean",
    "Move",
    "Operand",
    "Overflow",
    "PadWith",
    "Pick",
    "Preload",
    "Product",
    "Program",
    "Quantize",
    "Quotient",
    "Rectify",
    "Requantize",
    "Rescale",
    "RoundHalf",
    "Softmax",
    "Step",
    "Sum",
    "Table",
    "Warned",
    "Widths",
    "Window",
]


@dataclass(frozen=True)
class Warned:
    """Something the making of a program gave way to.

    Attributes:
        code: ``shift-clamped`` | ``bias-coarser`` | ``sum-coarser`` | ``multiplier-short``.
        node: User's name.
        text: What and how much, in words.
        values: The numbers.
    """

    code: str
    node: str
    text: str
    values: Mapping[str, int | float | Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Overflow:
    """An accumulator that left its width while the program ran.

    Attributes:
        node: User's name.
        largest: Largest absolute sum.
        bits: Width it should have fitted.
    """

    node: str
    largest: int
    bits: int


@dataclass(frozen=True, kw_only=True)
class Program:
    """A network in integers.

    Attributes:
        steps: In the order of computation.
        grids: Value name to grid, for the integer values only.
        constants: Float and shape constants that ``Float`` and ``Move`` nodes read, by name.
        inputs: Model inputs (value infos as in the model).
        outputs: Model outputs (value infos as in the model); each is the name of a float value.
        widths: The requantizer.
        opset: Operator set imports of the model.
        ir_version: Of the model.
        float_interior: Quantized groups whose arithmetic is float between integer ends (user's names).
        warnings: What the making found out: clamped shifts and the like.
    """

    steps: tuple[Step, ...]
    grids: Mapping[str, Grid]
    constants: Mapping[str, onnx.TensorProto]
    inputs: tuple[onnx.ValueInfoProto, ...]
    outputs: tuple[onnx.ValueInfoProto, ...]
    widths: Widths
    opset: tuple[onnx.OperatorSetIdProto, ...]
    ir_version: int
    float_interior: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()
