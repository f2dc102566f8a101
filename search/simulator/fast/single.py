"""Requantizing by one float32 operation, where it is proved to give the chip's integers.

``y(a) = clamp(round_shift(a * m, q))`` is a staircase: it steps from ``n - 1`` to ``n`` at the integer
``T_n = ceil((n * 2**q - half) / m)``. ``g(a) = clamp(rne(float32(a / s)))`` is a staircase as well, because a float32
division and ``rne`` never turn the order of two values around. Two staircases are equal on ``[-bound, bound]`` if they
are equal at both ends and on both sides of every step in between: a finite check, made here in NumPy with the same
IEEE operations the runtime uses. Where it fails for the nearest float32 ``s`` its neighbours are tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.simulator.rescale import Int64Array, Rescale, Rounding, round_shift

FloatArray = npt.NDArray[np.float32]

LARGEST_SHIFT = 40
"""Steps are found in int64: ``n * 2**q`` with 17 bits of n stays below ``2**62``."""

MOST_STEPS = 1 << 19
"""More are not checked: the time would not be earned back."""

MOST_STEPS_OF_ONE = 1 << 12
"""Of one factor. With more (16 bit in, 16 bit out) some step always lies within a float32 error of its place."""

MOST_CUTS = 1 << 20
"""The same for the few channels whose shift is large."""

_NEIGHBOURS = (0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6, 8, -8)


@dataclass(frozen=True)
class Span:
    """What may come in and go out.

    Attributes:
        least: Smallest integer that comes in.
        most: Largest.
        low: Smallest result.
        high: Largest.
    """

    least: int
    most: int
    low: int
    high: int


def is_cut_right(rescale: Rescale, span: Span, offset: int) -> bool:
    """Whether ``clamp(trunc(float64(v * c + 1/2 + offset)) - offset)`` is ``clamp(rs(v))``, ties going up.

    The same finite check, for a sum in float64 that may be rounded; products must be exact.

    Args:
        rescale: Factors ``[C]``.
        span: What comes in and goes out.
        offset: 0 where nothing below 0 goes out.
    """
    m, q = rescale.multiplier[:, np.newaxis], rescale.shift[:, np.newaxis]
    reached = _reached(m, q, span, "half_up")
    n_steps = min(reached.high - reached.low, span.most - span.least)
    end = max(abs(reached.low), abs(reached.high))
    if m.size * n_steps > MOST_CUTS or end << int(q.max()) >= 1 << 62:
        return False
    places = _places(m, q, span, "half_up")
    cut = np.trunc(places * np.ldexp(m.astype(np.float64), -q.astype(np.int32)) + (offset + 0.5)) - offset
    exact = round_shift(places * m, q, "half_up")
    return bool(np.all(np.clip(cut, span.low, span.high) == np.clip(exact, span.low, span.high)))


def only_one(rescale: Rescale) -> Rescale:
    """Return a rescale of one factor in any shape as one of no shape."""
    if rescale.multiplier.size != 1 or rescale.multiplier.ndim == 0:
        return rescale
    return Rescale(rescale.multiplier.reshape(()), rescale.shift.reshape(()))


Formula = Callable[[Int64Array, FloatArray], FloatArray]


def divided(a: Int64Array, s: FloatArray) -> FloatArray:
    """``rne(a / s)`` in float32."""
    return np.asarray(np.rint(a.astype(np.float32) / s))


def multiplied(a: Int64Array, c: FloatArray) -> FloatArray:
    """``rne(a * c)`` in float32."""
    return np.asarray(np.rint(a.astype(np.float32) * c))


def divisors(rescale: Rescale, span: Span, rounding: Rounding) -> FloatArray | None:
    """Return ``s`` with ``clamp(rne(float32(a / s))) == clamp(rs(a))`` for all integers of the span, or None.

    Args:
        rescale: Factors of any shape.
        span: Both ends of what comes in are at most ``2**24`` in size.
        rounding: Of the chip.

    Returns:
        float32 in the shape of the factors.
    """
    return _search(rescale, span, rounding, divided, inverse=True)


def multipliers(rescale: Rescale, span: Span, rounding: Rounding) -> FloatArray | None:
    """Return ``c`` with ``clamp(rne(float32(a * c))) == clamp(rs(a))``, or None; else as ``divisors``."""
    return _search(rescale, span, rounding, multiplied, inverse=False)


def _search(rescale: Rescale, span: Span, rounding: Rounding, formula: Formula, *, inverse: bool) -> FloatArray | None:
    m, q = rescale.multiplier.ravel(), rescale.shift.ravel()
    if m.size == 0 or np.any(m <= 0) or np.any(np.abs(q) > LARGEST_SHIFT) or not _is_small(m.size, span):
        return None
    factor = np.ldexp(m.astype(np.float64), -q.astype(np.int32))
    start = (1.0 / factor if inverse else factor).astype(np.float32)
    found = start.copy()
    left = np.arange(m.size)
    for distance in _NEIGHBOURS:
        tried = (start[left].view(np.int32) + np.int32(distance)).view(np.float32)
        part = Rescale(m[left, np.newaxis], q[left, np.newaxis])
        good = _equal(part, tried[:, np.newaxis], span, rounding, formula)
        found[left[good]] = tried[good]
        left = left[~good]
        if left.size == 0:
            return found.reshape(rescale.multiplier.shape)
    return None


def _is_small(n_factors: int, span: Span) -> bool:
    n_steps = min(span.high - span.low, span.most - span.least)
    return n_steps <= MOST_STEPS_OF_ONE and n_factors * n_steps <= MOST_STEPS


def _equal(rescale: Rescale, s: FloatArray, span: Span, rounding: Rounding, formula: Formula) -> npt.NDArray[np.bool_]:
    """Whether both staircases are equal, for each factor ``[factors, 1]``."""
    m, q = rescale.multiplier, rescale.shift
    places = _places(m, q, span, rounding)
    exact = np.clip(round_shift(places * m, q, rounding), span.low, span.high)
    got = np.clip(formula(places, s), np.float32(span.low), np.float32(span.high))
    return np.asarray(np.all(exact == got, axis=1))


def _reached(m: Int64Array, q: Int64Array, span: Span, rounding: Rounding) -> Span:
    """The span, with the results that some factor reaches."""
    low = max(span.low, int(round_shift(span.least * m, q, rounding).min()))
    high = min(span.high, int(round_shift(span.most * m, q, rounding).max()))
    return Span(span.least, span.most, min(low, span.high), max(high, span.low))


def _places(m: Int64Array, q: Int64Array, span: Span, rounding: Rounding) -> Int64Array:
    """Integers that decide, ``[factors, places]``: all of the span, or its ends and both sides of every step."""
    if span.most - span.least <= 2 * (span.high - span.low) and span.most - span.least <= MOST_STEPS_OF_ONE:
        return np.broadcast_to(np.arange(span.least, span.most + 1), (m.size, span.most - span.least + 1))
    reached = _reached(m, q, span, rounding)
    n = np.arange(reached.low + 1, reached.high + 1)
    half = np.where(q > 0, np.int64(1) << np.maximum(q - 1, 0), 0)
    goal = (n << np.maximum(q, 0)) - half
    step = -((-goal) // (m << np.maximum(-q, 0)))
    # A tie may go down (to even, or away from zero below it): then the step is one further.
    step = np.where(round_shift(np.clip(step, span.least, span.most) * m, q, rounding) >= n, step, step + 1)
    ends = np.broadcast_to(np.array([span.least, span.most]), (m.size, 2))
    return np.asarray(np.clip(np.concatenate([step - 1, step, ends], axis=1), span.least, span.most))
