"""Observer ``mse``: the range whose grid has the smallest expected squared error, clipping included.

Candidates shrink the exact range by powers of ``2**(1/4)``, then in finer steps around the best.
See docs/numerics.md#observers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from search.quant.density import Density, density_of
from search.quant.error import range_errors
from search.quant.grid import ScaleRule
from search.quant.histogram import Histogram
from search.quant.observers.min_max import min_max

DoubleArray: TypeAlias = npt.NDArray[np.float64]

_COARSE = 2.0 ** (-np.arange(0, 41) / 4.0)
"""From the whole range down to 1/1024 of it."""

_ALONE = 2.0 ** (-np.arange(0, 61) / 12.0)
"""For one end alone, down to 1/32. Denser: where the zero point lands matters as much as the range."""

_FINE = 2.0 ** (np.arange(-7, 8) / 32.0)
"""Between two coarse neighbours."""


def mse(histogram: Histogram, bits: int, rule: ScaleRule) -> tuple[float, float]:
    """Return the best candidate; never worse than ``min_max``, which is the first of them.

    Symmetric rules shrink one threshold. The asymmetric rule shrinks both ends together, then each alone.

    Raises:
        InvalidDataError: If there is no finite value.
    """
    ends = min_max(histogram, bits, rule)
    search = _Search(density_of(histogram), ends, bits, rule)
    return search.by_threshold() if rule.symmetric else search.by_ends()


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """One tensor's search: what every step of it needs."""

    density: Density
    ends: tuple[float, float]
    bits: int
    rule: ScaleRule

    def by_threshold(self) -> tuple[float, float]:
        """Shrink one threshold for both signs."""
        found = self.ends
        for ratios in (_COARSE, _FINE):
            thresholds = ratios * max(-found[0], found[1])
            found = self.best(found, -thresholds, thresholds)
        return found

    def by_ends(self) -> tuple[float, float]:
        """Shrink both ends together, then each of them from its own extreme, then finely."""
        low, high = self.ends
        found = self.best(self.ends, low * _COARSE, high * _COARSE)
        found = self.best(found, low * _ALONE, found[1])
        found = self.best(found, found[0], high * _ALONE)
        found = self.best(found, found[0] * _FINE, found[1])
        return self.best(found, found[0], found[1] * _FINE)

    def best(
        self, found: tuple[float, float], lows: DoubleArray | float, highs: DoubleArray | float
    ) -> tuple[float, float]:
        """Return the range with the smallest error among ``found`` and the candidates cut to the data's ends."""
        bottoms, tops = np.broadcast_arrays(np.maximum(lows, self.ends[0]), np.minimum(highs, self.ends[1]))
        bottoms, tops = np.append(found[0], bottoms), np.append(found[1], tops)
        errors = range_errors(self.density, bottoms, tops, bits=self.bits, rule=self.rule)
        index = int(np.argmin(errors))
        return float(bottoms[index]), float(tops[index])
