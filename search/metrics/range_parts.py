"""Parts of an output whose ranges are so different that one number over the whole says nothing of the smaller one.

A detector's output holds boxes in pixels (0 to 640) beside scores (0 to 1): its cosine is that of the boxes alone. The
largest absolute value of every index along an axis tells where such parts meet.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

RATIO = 16.0  # of two ranges: the smaller one has fewer than 16 of the 256 steps of a common 8-bit scale
MOST_PARTS = 6
FEWEST_NUMBERS = 8  # of a part in one sample: fewer have no meaningful cosine

Ends = tuple[int, int]


def split_by_range(largest: npt.NDArray[np.float64], *, ratio: float = RATIO) -> tuple[Ends, ...]:
    """Return ``(start, stop)`` of contiguous parts, or nothing where there is only one.

    Args:
        largest: Largest absolute value per index, ``[n]``; zeros belong to any part.
        ratio: Two neighbours are parted where every value of one is more than this many times every value of the
            other.
    """
    parts = tuple(_parts(largest, 0, len(largest), ratio))
    return parts if 1 < len(parts) <= MOST_PARTS else ()


def output_parts(largest: npt.NDArray[np.float64]) -> tuple[str, ...]:
    """Return the parts of an output as texts behind its name (``[:, :4]``, ``[:, 4:]``); nothing where it is one.

    Args:
        largest: Largest absolute value over samples, shape of one sample ``[d1, d2, ..]``, of two axes or more: along a
            single axis every number is one of its own, and no part.
    """
    if largest.ndim < 2 or not np.isfinite(largest).all():
        return ()
    for axis in range(largest.ndim):
        others = tuple(a for a in range(largest.ndim) if a != axis)
        ends = split_by_range(np.asarray(largest.max(axis=others, initial=0.0)))
        rest = largest.size // max(1, largest.shape[axis])
        if ends and all((stop - start) * rest >= FEWEST_NUMBERS for start, stop in ends):
            return tuple(_text(axis, start, stop, largest.shape[axis]) for start, stop in ends)
    return ()


def _parts(largest: npt.NDArray[np.float64], start: int, stop: int, ratio: float) -> Iterator[Ends]:
    cut = _cut(largest[start:stop], ratio)
    if cut is None:
        yield start, stop
        return
    yield from _parts(largest, start, start + cut, ratio)
    yield from _parts(largest, start + cut, stop, ratio)


def _cut(largest: npt.NDArray[np.float64], ratio: float) -> int | None:
    """The place with the largest ratio between all of one side and all of the other; None where none is enough."""
    lows = np.where(largest > 0, largest, np.inf)
    highs = np.maximum.accumulate(largest)
    before = np.minimum.accumulate(lows)[:-1] / np.maximum(np.maximum.accumulate(largest[::-1])[::-1][1:], 1e-300)
    after = np.minimum.accumulate(lows[::-1])[::-1][1:] / np.maximum(highs[:-1], 1e-300)
    there = (highs[:-1] > 0) & (np.maximum.accumulate(largest[::-1])[::-1][1:] > 0)
    ratios = np.where(there, np.maximum(before, after), 0.0)
    best = int(np.argmax(ratios)) if len(ratios) else 0
    return best + 1 if len(ratios) and ratios[best] > ratio else None


def _text(axis: int, start: int, stop: int, size: int) -> str:
    ends = f"{start or ''}:{'' if stop == size else stop}"
    return f"[{', '.join([':'] * (axis + 1))}, {ends}]"
