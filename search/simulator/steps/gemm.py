"""Sums of products: convolutions and matrix multiplications with all that a chip fuses into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from search.simulator.rescale import Int64Array, Rescale
from search.simulator.steps.base import Operand, Step, Window

DoubleArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Preload:
    """The summed input of a gemm: ``rs(x', r)`` is added to the accumulator; ``r`` may shift left."""

    input: str
    rescale: Rescale


@dataclass(frozen=True, kw_only=True, eq=False)
class Gemm(Step):
    """``acc = (sum a' * b' + bias) * 2**lift + preload``, clamped to ``[low, high]``, then requantized or dequantized.

    ``kind`` ``conv | conv_transpose``: ``a`` ``[N, C, ...]``, ``b`` constant ``[M, C/group, ...]``
    (``[C, M/group, ...]`` transposed). ``kind`` ``matmul``: ``a @ b`` after ``trans_a``/``trans_b`` of the last two
    axes, ranks as NumPy's matmul; either side may be the constant.

    Attributes:
        a: First operand.
        b: Second operand; at least one of both is a value.
        bias: int64, broadcast against the accumulator along ``axis`` (``[C]``), or ``[]``, or of the accumulator's
            rank; None for none.
        preload: The summed input, if any; it broadcasts against the accumulator.
        lift: Left shift of the sum before the summed input joins it, where that one has the finer step. ``low``,
            ``high``, ``rescale`` and ``scales`` are in units of the lifted accumulator.
        low: Smallest accumulator after the fused Relu or Clip, int64 ``[C]`` or ``[]``; None for none.
        high: Largest one.
        rescale: To the output's grid; None where the output is float.
        scales: Step of the accumulator, float64 ``[C]`` or ``[]``: ``float32(acc * scales)`` where the output is float.
        axis: Channel axis of the accumulator, from the front (conv: 1) or the back (matmul: -1 or -2).
        acc_bits: Width of the accumulator; ``|acc|`` must stay below ``2**(acc_bits-1)`` after each of sum, bias, lift,
            preload.
        overflow: What the chip does beyond: ``error`` (reported, value kept exact), or ``wrap`` or ``saturate`` to
            ``[-2**(acc_bits-1), 2**(acc_bits-1) - 1]``, once, after the preload and before ``low``; nothing is
            reported then.
        half: Whether a float output is rounded to binary16.
        depth: How many products a sum has, where both sides are values and it is known; it only helps the fast way.
    """

    kind: Literal["conv", "conv_transpose", "matmul"]
    a: Operand
    b: Operand
    bias: Int64Array | None
    preload: Preload | None
    low: Int64Array | None
    high: Int64Array | None
    rescale: Rescale | None
    scales: DoubleArray
    axis: int
    acc_bits: int
    overflow: Literal["error", "wrap", "saturate"]
    window: Window | None = None
    trans_a: bool = False
    trans_b: bool = False
    half: bool = False
    lift: int = 0
    depth: int | None = None
