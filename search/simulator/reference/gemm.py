"""Convolutions and matrix multiplications: exact sums, then bias, summed input, bounds, and the way out.

``acc = (sum a' * b' + bias) * 2**lift + preload``; an accumulator that leaves its width is reported, wrapped or
saturated.
"""

from __future__ import annotations

import numpy as np

from search.arrays import Array
from search.quant.fp16 import round_fp16
from search.simulator.program import Gemm, Overflow, Preload, Window
from search.simulator.reference.values import Values
from search.simulator.reference.windows import padded, view
from search.simulator.rescale import Int64Array, along
from search.simulator.windows import transposed_sizes

WIDEST = 1 << 47
"""A requantizer sees no larger sum: times a 15 bit multiplier it stays below 2**62. Only overflows get there."""


def run_gemm(step: Gemm, values: Values) -> Array:
    """Sum, add, bound, and requantize or dequantize."""
    acc = _accumulate(step, values)
    acc = _bounded(acc, step)
    if step.rescale is not None:
        acc = np.clip(acc, -WIDEST, WIDEST)
        return values.saturated(values.rescaled(acc, step.rescale, axis=step.axis), step.output)
    with np.errstate(over="ignore", under="ignore"):
        real = (acc.astype(np.float64) * _along(step.scales, acc.ndim, step.axis)).astype(np.float32)
    return round_fp16(real) if step.half else real


def sums(step: Gemm, values: Values) -> Int64Array:
    """Return ``sum a' * b'``, the accumulator before anything is added."""
    a, b = values.centered(step.a), values.centered(step.b)
    if step.kind == "matmul":
        left = np.swapaxes(a, -1, -2) if step.trans_a else a
        right = np.swapaxes(b, -1, -2) if step.trans_b else b
        return np.asarray(left @ right, np.int64)
    if step.window is None:
        raise ValueError(f"{step.name}: a convolution needs a window.")
    return _conv(a, b, step.window) if step.kind == "conv" else _conv_transpose(a, b, step.window)


def _accumulate(step: Gemm, values: Values) -> Int64Array:
    acc = sums(step, values)
    largest = _largest(acc)
    if step.bias is not None:
        acc = acc + _along(step.bias, acc.ndim, step.axis)
        largest = max(largest, _largest(acc))
    if step.lift:
        acc = acc << step.lift
        largest = max(largest, _largest(acc))
    if step.preload is not None:
        acc = acc + _preloaded(step.preload, values, acc.ndim, step.axis)
        largest = max(largest, _largest(acc))
    return _within_width(np.asarray(acc, np.int64), largest, step, values)


def _preloaded(preload: Preload, values: Values, rank: int, axis: int) -> Int64Array:
    x = values.centered(preload.input)
    x = x.reshape((1,) * (rank - x.ndim) + x.shape)
    return values.rescaled(x, preload.rescale, axis=axis)


def _within_width(acc: Int64Array, largest: int, step: Gemm, values: Values) -> Int64Array:
    """Report an overflow, or do what the chip does about it."""
    limit = 1 << (step.acc_bits - 1)
    if step.overflow == "wrap":
        return np.asarray((acc + limit) % (2 * limit) - limit)
    if step.overflow == "saturate":
        return np.asarray(np.clip(acc, -limit, limit - 1))
    if largest >= limit:
        values.overflows.append(Overflow(node=step.name, largest=largest, bits=step.acc_bits))
    return acc


def _bounded(acc: Int64Array, step: Gemm) -> Int64Array:
    """The fused Relu or Clip, in units of the accumulator."""
    if step.low is not None:
        acc = np.maximum(acc, _along(step.low, acc.ndim, step.axis))
    if step.high is not None:
        acc = np.minimum(acc, _along(step.high, acc.ndim, step.axis))
    return np.asarray(acc, np.int64)


def _conv(a: Int64Array, b: Int64Array, window: Window) -> Int64Array:
    """``[N, C, in...]``, ``[M, C/group, kernel...]`` -> ``[N, M, out...]``; padding adds zeros of ``a'``."""
    whole = padded(a, window, 0)
    sizes = a.shape[2:]
    n, group = a.shape[0], window.group
    weights = b.reshape(group, b.shape[0] // group, b.shape[1], *window.kernel)
    acc: Int64Array | int = 0
    for offset in np.ndindex(window.kernel):
        seen = view(whole, window, offset, sizes)
        places = seen.shape[2:]
        seen = seen.reshape(n, group, b.shape[1], -1)
        acc = acc + weights[(..., *offset)] @ seen  # [group, M/group, C/group] @ [N, group, C/group, places]
    return np.asarray(acc, np.int64).reshape(n, b.shape[0], *places)


def _conv_transpose(a: Int64Array, b: Int64Array, window: Window) -> Int64Array:
    """``[N, C, in...]``, ``[C, M/group, kernel...]`` -> ``[N, M, out...]``: every input adds its window."""
    rank, sizes = len(window.kernel), a.shape[2:]
    n, group, m = a.shape[0], window.group, b.shape[1]
    weights = np.moveaxis(b.reshape(group, b.shape[0] // group, m, *window.kernel), 1, 2)
    seen = a.reshape(n, group, b.shape[0] // group, -1)
    out = transposed_sizes(sizes, window)
    whole = tuple(size + window.pads[i] + window.pads[rank + i] for i, size in enumerate(out))
    acc = np.zeros((n, group * m, *whole), np.int64)
    for offset in np.ndindex(window.kernel):
        places = tuple(
            slice(
                offset[i] * window.dilations[i],
                offset[i] * window.dilations[i] + (size - 1) * window.strides[i] + 1,
                window.strides[i],
            )
            for i, size in enumerate(sizes)
        )
        acc[(slice(None), slice(None), *places)] += (weights[(..., *offset)] @ seen).reshape(n, group * m, *sizes)
    kept = tuple(slice(window.pads[i], window.pads[i] + size) for i, size in enumerate(out))
    return acc[(slice(None), slice(None), *kept)]


def _along(values: Array, rank: int, axis: int) -> Array:
    """Per-channel values ``[C]`` along ``axis``; ``[]`` and full rank as they are."""
    return along(values, rank, axis) if values.ndim == 1 else values


def _largest(acc: Int64Array) -> int:
    return int(np.abs(acc).max(initial=0))
