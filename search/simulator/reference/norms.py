"""Softmax, LayerNormalization and lengths with int16 inside."""

from __future__ import annotations

import numpy as np

from search.arrays import Array
from search.simulator.program import EuclideanNorm, LayerNorm, Softmax
from search.simulator.reference.elementwise import read_table
from search.simulator.reference.values import Values
from search.simulator.rescale import Int64Array, round_shift


def run_softmax(step: Softmax, values: Values) -> Array:
    """``p = floor((e * 2**15 + S // 2) / S)`` with ``e`` from the table of ``exp`` at ``max - x``."""
    x = values[step.input]
    below = x.max(axis=step.axis, keepdims=True) - x
    last = len(step.entries) - 1
    end = last if step.segment_bits == 0 else (last << step.segment_bits) - 1
    e = read_table(step.entries, np.minimum(below, end), step.segment_bits, 0, values.rounding)
    total = e.sum(axis=step.axis, keepdims=True)
    p = (e * 2**15 + total // 2) // total
    return values.saturated(values.rescaled(p, step.rescale), step.output)


def run_layer_norm(step: LayerNorm, values: Values) -> Array:
    """Mean, variance, square root, quotient: all floors of integers; then gamma and beta."""
    x = values.centered(step.input)
    axes = tuple(range(step.axis % x.ndim, x.ndim))
    n = int(np.prod([x.shape[axis] for axis in axes]))
    d = x << step.fraction
    if step.centred:
        d = d - (d.sum(axis=axes, keepdims=True) + n // 2) // n
    variance = (d * d).sum(axis=axes, keepdims=True) // n + step.epsilon
    sigma = np.maximum(1, integer_root(variance))
    z = np.clip(((2 * d << step.result_bits) + sigma) // (2 * sigma), -(2**15), 2**15 - 1)
    y = z * step.gamma * step.rescale.multiplier + step.beta
    return values.saturated(round_shift(y, step.rescale.shift, values.rounding), step.output)


def run_euclidean_norm(step: EuclideanNorm, values: Values) -> Array:
    """Exact sums of squares, and their integer root with ``fraction`` bits behind the point."""
    x = values.centered(step.input) << step.fraction
    root = integer_root((x * x).sum(axis=step.axes, keepdims=step.keepdims))
    return values.saturated(values.rescaled(root, step.rescale), step.output)


def integer_root(v: Int64Array) -> Int64Array:
    """Return the largest integers whose squares do not pass ``v`` (0 or above, below 2**62)."""
    root = np.sqrt(v.astype(np.float64)).astype(np.int64)
    root = root - (root * root > v)
    return np.asarray(root + ((root + 1) * (root + 1) <= v), np.int64)
