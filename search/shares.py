"""How a round is cut into shares that several processes can compute at the same time.

By estimated work alone, never by how many processes there are. A few of them should end together: a round that is worth
it comes in four shares of one size, or a multiple of four. Large ones have so many that the last one does not matter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import TypeVar

EVEN = 4
"""Shares that one, two and four processes have done at the same time."""
FINEST = 8
"""``task_macs`` divided by the least work of a share: below, handing it over costs more than it saves."""
MOST_EVEN = 16
"""Beyond so many shares an uneven number costs little."""
_T = TypeVar("_T")


def n_shares(work: float, task_macs: float) -> int:
    """Number of shares of one size that ``work`` (multiply-accumulates) is cut into, each at most ``task_macs``."""
    needed = max(1, math.ceil(work / task_macs))
    if needed > MOST_EVEN:
        return needed
    if needed > 1:
        return math.ceil(needed / EVEN) * EVEN
    affordable = min(EVEN, int(work * FINEST / task_macs))
    return affordable - affordable % 2 or 1


def cut_samples(
    start: int, stop: int, *, batch: int, macs: float, task_macs: float, most: int
) -> list[tuple[int, int]]:
    """Cut samples into shares: whole batches, of one size.

    Args:
        start: First sample.
        stop: Behind the last one.
        batch: Samples per run.
        macs: Multiply-accumulates per sample.
        task_macs: Most of one share, unless one batch takes more.
        most: Most samples of one share, unless a batch is larger.
    """
    n_batches = max(1, math.ceil((stop - start) / batch))
    wanted = n_shares(macs * (stop - start), task_macs)
    affordable = min(most, task_macs / macs if macs else most)
    largest = max(1, int(affordable) // batch)
    per_share = min(math.ceil(n_batches / wanted), largest)
    step = math.ceil(n_batches / math.ceil(n_batches / per_share)) * batch
    return [(begin, min(begin + step, stop)) for begin in range(start, stop, step)]


def bundled(things: Sequence[_T], works: Sequence[float], task_macs: float) -> tuple[tuple[_T, ...], ...]:
    """Put consecutive things together into shares of about one size; one thing alone may exceed it.

    Args:
        things: In order.
        works: Multiply-accumulates of each; 0 where nothing is known.
        task_macs: Most of one share.
    """
    total = sum(works)
    share = total / n_shares(total, task_macs) if total else math.inf
    middles = (end - work / 2 for end, work in zip(accumulate(works), works, strict=True))
    numbered = zip(things, (int(middle / share) for middle in middles), strict=True)
    return tuple(tuple(thing for thing, _ in found) for _, found in groupby(numbered, key=lambda pair: pair[1]))
