"""Pooling, means and Resize."""

from __future__ import annotations

import numpy as np

from search.arrays import Array
from search.simulator.program import Interpolate, MaxPool, Mean, Pick
from search.simulator.reference.values import Values
from search.simulator.reference.windows import padded, view
from search.simulator.rescale import Int64Array

LOWEST = -(1 << 20)
"""Below every integer of every grid: padding that never wins."""


def run_max_pool(step: MaxPool, values: Values) -> Array:
    """The largest integer of each window."""
    x = values.centered(step.input)
    whole = padded(x, step.window, LOWEST)
    seen = [view(whole, step.window, offset, x.shape[2:]) for offset in np.ndindex(step.window.kernel)]
    largest: Int64Array = np.maximum.reduce(seen)
    return values.saturated(values.rescaled(largest, step.rescale), step.output)


def run_mean(step: Mean, values: Values) -> Array:
    """Exact sums; the count is in the factor."""
    x = values.centered(step.input)
    if step.window is None:
        total = x.sum(axis=step.axes, keepdims=step.keepdims)
    else:
        whole = padded(x, step.window, 0)
        total = sum(
            (view(whole, step.window, offset, x.shape[2:]) for offset in np.ndindex(step.window.kernel)),
            start=np.int64(0),
        )
    return values.saturated(values.rescaled(np.asarray(total, np.int64), step.rescale), step.output)


def run_interpolate(step: Interpolate, values: Values) -> Array:
    """Each axis times its matrix ``[out, in]``, then rescaled."""
    v = values.centered(step.input)
    for axis, matrix in step.matrices.items():
        v = np.moveaxis(np.tensordot(matrix, v, axes=([1], [axis])), 0, axis)
    return values.saturated(values.rescaled(v, step.rescale), step.output)


def run_pick(step: Pick, values: Values) -> Array:
    """Values at the indices of each axis."""
    x = values.centered(step.input)
    for axis, index in step.indices.items():
        x = np.take(x, index, axis=axis)
    return values.saturated(values.rescaled(x, step.rescale), step.output)
