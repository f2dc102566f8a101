"""Between float and integers, between grids, and to binary16."""

from __future__ import annotations

import numpy as np

from search.arrays import Array
from search.quant.fp16 import round_fp16
from search.quant.grid import dequantize, quantize
from search.simulator.program import Dequantize, Quantize, Requantize, RoundHalf
from search.simulator.reference.values import Values


def run_quantize(step: Quantize, values: Values) -> Array:
    """``clamp(rne(x / scale) + zero_point)`` in float32."""
    return quantize(values[step.input], values.grid(step.output)).astype(np.int64)


def run_dequantize(step: Dequantize, values: Values) -> Array:
    """``float32(x') * float32(scale)``."""
    return dequantize(values[step.input], values.grid(step.input))


def run_round_half(step: RoundHalf, values: Values) -> Array:
    """``half(x * 2**-k) * 2**k``."""
    x = np.asarray(values[step.input], np.float32)
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(round_fp16(np.ldexp(x, -step.prescale)), step.prescale).astype(np.float32)


def run_requantize(step: Requantize, values: Values) -> Array:
    """``sat(rs(x', r))``."""
    return values.saturated(values.rescaled(values.centered(step.input), step.rescale), step.output)
