"""How far one quantized tensor is from its float self, added up run by run.

    sqnr_db      10 log10(sum x^2 / sum (y - x)^2), at most 200       x: float, y: quantized
    rounding_db  the same with y = x rounded on the tensor's own grid
    cosine       x.y / sqrt(x.x * y.y); two zero tensors 1, one zero tensor 0

Sums run over all samples in float64. A value that is not finite makes them meaningless: they are None then, with a
reason. See docs/numerics.md#layer-by-layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.canonical import Json
from search.quant.fp16 import LARGEST_FP16, round_fp16
from search.quant.grid import Grid, fake_quantize

Double = npt.NDArray[np.float64]
N_BINS = 64
MOST_DB = 200.0
"""Where a ratio is capped; equal tensors have it."""


@dataclass(frozen=True)
class Rounding:
    """How a tensor is stored.

    Attributes:
        grid: Its integers; None for a float format.
        halves: Whether it is held in binary16.
        prescale: Exponent ``k`` of the pre-scale ``2**-k`` of one held in binary16.
    """

    grid: Grid | None = None
    halves: bool = False
    prescale: int = 0

    @property
    def ends(self) -> tuple[float, float] | None:
        """Smallest and largest value it can hold; None for float32."""
        if self.grid is not None:
            return self.grid.low, self.grid.high
        largest = LARGEST_FP16 * 2.0**self.prescale
        return (-largest, largest) if self.halves else None

    def round(self, x: npt.NDArray[np.float32]) -> Array:
        """Return ``x`` as it would be stored, as real numbers."""
        if self.grid is not None:
            return fake_quantize(x, self.grid)
        factor = np.float32(2.0**-self.prescale)
        return round_fp16(x * factor) / factor if self.halves else x


class Agreement:
    """Sums of one tensor. ``update`` run by run, then ``to_json``.

    Attributes:
        low: Smallest finite float value; infinite before the first.
        high: Largest one.
    """

    def __init__(self, rounding: Rounding) -> None:
        self._rounding = rounding
        self._n = self._n_clipped = 0
        self._n_nonfinite = [0, 0]
        self._xx = self._yy = self._xy = self._ee = self._rr = 0.0
        self.low, self.high = math.inf, -math.inf
        self._quantized = [math.inf, -math.inf]

    def update(self, x: Array, y: Array) -> None:
        """Add one run.

        Args:
            x: Float values.
            y: Quantized values, as real numbers, same shape.
        """
        exact, found = x.astype(np.float64).ravel(), y.astype(np.float64).ravel()
        self._n += exact.size
        self.low, self.high = _widened((self.low, self.high), exact)
        self._quantized = list(_widened((self._quantized[0], self._quantized[1]), found))
        self._n_nonfinite[0] += _n_nonfinite(exact)
        self._n_nonfinite[1] += _n_nonfinite(found)
        ends = self._rounding.ends
        if ends is not None:
            self._n_clipped += int(np.count_nonzero((exact < ends[0]) | (exact > ends[1])))
        with np.errstate(invalid="ignore", over="ignore"):
            alone = self._rounding.round(x.astype(np.float32)).astype(np.float64).ravel()
            self._xx += float(np.square(exact).sum())
            self._yy += float(np.square(found).sum())
            self._xy += float((exact * found).sum())
            self._ee += float(np.square(found - exact).sum())
            self._rr += float(np.square(alone - exact).sum())

    def to_json(self) -> dict[str, Json]:
        """Return the figures; None, with a ``reason``, where there is none."""
        reason = self._reason()
        rounds = self._rounding.ends is not None
        return {
            "n": self._n,
            "sqnr_db": None if reason else ratio_db(self._xx, self._ee),
            "cosine": None if reason else _cosine(self._xx, self._yy, self._xy),
            "rounding_db": ratio_db(self._xx, self._rr) if rounds and not reason else None,
            "float": _ends(self.low, self.high),
            "quantized": _ends(*self._quantized),
            "clipped_share": self._n_clipped / self._n if rounds and self._n else None,
            "reason": reason,
        }

    def _reason(self) -> str | None:
        """Why there is no ratio."""
        if self._n == 0:
            return "the tensor has no values"
        for name, count in zip(("float", "quantized"), self._n_nonfinite, strict=True):
            if count:
                return f"{count} of {self._n} {name} values are not finite"
        return "every float value is zero" if self._xx == 0 and self._ee > 0 else None


def ratio_db(signal: float, noise: float) -> float | None:
    """Return ``10 log10(signal / noise)``, at most 200; None for noise that is infinite or without a signal."""
    if noise == 0:
        return MOST_DB
    if signal == 0 or not math.isfinite(noise) or not math.isfinite(signal):
        return None
    return min(MOST_DB, 10 * math.log10(signal / noise))


def bin_ends(low: float, high: float) -> tuple[float, float]:
    """Return the outer edges of the histogram of values from ``low`` to ``high``; a single value gets width 1."""
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def binned(x: Array, ends: tuple[float, float]) -> npt.NDArray[np.int64]:
    """Count the finite values of ``x`` in ``N_BINS`` equal bins between ``ends``."""
    values = x.astype(np.float64).ravel()
    counts, _ = np.histogram(values[np.isfinite(values)], bins=N_BINS, range=ends)
    return counts.astype(np.int64)


def _cosine(xx: float, yy: float, xy: float) -> float:
    norm = math.sqrt(xx) * math.sqrt(yy)
    if norm == 0:
        return 1.0 if xx == yy else 0.0
    return max(-1.0, min(1.0, xy / norm))


def _widened(ends: tuple[float, float], values: Double) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ends
    return min(ends[0], float(finite.min())), max(ends[1], float(finite.max()))


def _n_nonfinite(values: Double) -> int:
    return values.size - int(np.count_nonzero(np.isfinite(values)))


def _ends(low: float, high: float) -> list[float] | None:
    return [low, high] if low <= high else None
