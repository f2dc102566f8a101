"""Times of several things on a machine that is not quiet: interleaved, in random order, corrected for drift.

Round by round everything runs once. A round in which all were slow together (``median over things of time / its own
median``) is scaled back by that factor; the result is the median over rounds. The noise floor is how far the medians of
the even and of the odd rounds are apart, in the median over things.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Steady:
    """What a series of rounds says.

    Attributes:
        seconds: Per thing, shape ``[n]``.
        noise: Relative difference of two halves of the rounds.
    """

    seconds: Times
    noise: float


def interleave(
    works: Sequence[Callable[[], object]], *, rounds: int, seed: int, clock: Callable[[], float] = time.perf_counter
) -> Times:
    """Return seconds per round and thing, shape ``[rounds, n]``; one round before them is not counted.

    Args:
        works: What is timed.
        rounds: How often.
        seed: Of the order within each round.
        clock: Seconds since any moment.
    """
    rng = np.random.default_rng(seed)
    seconds = np.zeros((rounds, len(works)))
    for work in works:
        work()
    for row in seconds:
        for i in rng.permutation(len(works)):
            start = clock()
            works[i]()
            row[i] = clock() - start
    return seconds


def steady(seconds: Times) -> Steady:
    """Return the medians of drift-corrected rounds.

    Args:
        seconds: Positive, shape ``[rounds, n]``, two rounds or more.
    """
    drift = np.median(seconds / np.median(seconds, axis=0), axis=1)
    level = seconds / drift[:, None]
    halves = np.median(level[::2], axis=0), np.median(level[1::2], axis=0)
    return Steady(np.median(level, axis=0), float(np.median(np.abs(halves[0] / halves[1] - 1.0))))
