"""Exact tails of draws without replacement: of a known population, some samples were seen in random order.

P(X = k) = C(marked, k) * C(total - marked, drawn - k) / C(total, drawn)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy


@dataclass(frozen=True)
class Urn:
    """``drawn`` of ``total`` samples, taken without replacement."""

    total: int
    drawn: int

    def upper(self, *, marked: int) -> int:
        """Return the largest possible number of marked samples among the drawn ones."""
        return min(marked, self.drawn)

    def probabilities(self, *, marked: int) -> npt.NDArray[np.float64]:
        """Return ``P(X = k)`` for ``k = 0 .. upper``, float64; ``marked`` must be in ``[0, total]``."""
        k = np.arange(self.upper(marked=marked) + 1)
        possible = self.drawn - k <= self.total - marked
        rest = np.where(possible, self.drawn - k, 0)
        logs = (
            _log_choose(marked, k)
            + _log_choose(self.total - marked, rest)
            - _log_choose(self.total, np.array(self.drawn))
        )
        return np.where(possible, np.exp(logs), 0.0)

    def most_marked(self, *, seen: int, chance: float) -> int:
        """Return the largest number of marked samples with ``P(X <= seen) >= chance``.

        An upper confidence bound of level ``1 - chance`` on the number of marked samples; at least ``seen``.
        """
        low, high = seen, self.total - (self.drawn - seen)
        while low < high:
            middle = (low + high + 1) // 2
            if float(self.probabilities(marked=middle)[: seen + 1].sum()) >= chance:
                low = middle
            else:
                high = middle - 1
        return low


def difference_tail(losses: npt.NDArray[np.float64], gains: npt.NDArray[np.float64], at_least: int) -> float:
    """Return ``P(L - G >= at_least)`` of independent ``L`` and ``G`` with the probabilities of 0, 1, 2, ... given."""
    tail = np.concatenate([np.cumsum(losses[::-1])[::-1], [0.0]])
    needed = np.clip(np.arange(len(gains)) + at_least, 0, len(losses))
    return min(1.0, float(gains @ tail[needed]))


def _log_choose(n: int, k: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    logs: npt.NDArray[np.float64] = (
        scipy.special.gammaln(n + 1.0) - scipy.special.gammaln(k + 1.0) - scipy.special.gammaln(n - k + 1.0)
    )
    return logs
