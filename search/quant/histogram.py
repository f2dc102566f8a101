"""A streamed histogram of one tensor that depends on the data alone, never on batches or their order.

With ``e`` the smallest exponent with ``max|x| < 2**e`` and ``width = 2**(e - 12)``, bin ``k`` counts
``trunc(x / width) == k`` for ``-4096 < k < 4096``. Since ``trunc(trunc(a) / 2) == trunc(a / 2)``, a larger
value coarsens what was counted before exactly: pairs of bins are merged. See docs/numerics.md#histograms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from search.arrays import Array

BITS_PER_SIDE = 12
N_PER_SIDE = 1 << BITS_PER_SIDE
N_BINS = 2 * N_PER_SIDE - 1
CENTRE = N_PER_SIDE - 1
"""Index of bin 0, which holds ``-width < x < width``."""

_LOWEST_EXPONENT = BITS_PER_SIDE - 126
"""Below this the width would be subnormal; smaller tensors are counted with this one."""

_CHUNK = 1 << 15
"""Values counted at once: the buffers stay in the processor's cache."""


class Histogram:
    """Counts, exact ends and tallies of the values of one tensor.

    Attributes:
        exponent: ``e`` above: all finite values lie in ``(-2**e, 2**e)``.
        n_finite: Number of finite values.
        n_zero: How many of them are exactly zero.
        n_nonfinite: Number of NaN and infinite values; they are in no bin.
    """

    __slots__ = ("_counts", "_high", "_low", "exponent", "n_finite", "n_nonfinite", "n_zero")

    def __init__(self) -> None:
        self._counts = np.zeros(N_BINS, np.int64)
        self._low = np.inf
        self._high = -np.inf
        self.exponent = _LOWEST_EXPONENT
        self.n_finite = 0
        self.n_zero = 0
        self.n_nonfinite = 0

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Read-only counts, ``[N_BINS]``; bin ``k`` is at ``k + CENTRE``."""
        view = self._counts.view()
        view.flags.writeable = False
        return view

    @property
    def count(self) -> int:
        """Number of finite values."""
        return self.n_finite

    @property
    def bin_width(self) -> float:
        """Width of a bin, a power of two; bin 0 is twice as wide."""
        return 2.0 ** (self.exponent - BITS_PER_SIDE)

    @property
    def low(self) -> float:
        """Smallest finite value, exact; 0 when there is none."""
        return float(self._low) if self.n_finite else 0.0

    @property
    def high(self) -> float:
        """Largest finite value, exact; 0 when there is none."""
        return float(self._high) if self.n_finite else 0.0

    @property
    def absmax(self) -> float:
        """Largest absolute finite value, exact; 0 when there is none."""
        return max(-self.low, self.high)

    @property
    def mean(self) -> float:
        """Mean of the finite values, from bin centres: off by at most one bin width."""
        if not self.n_finite:
            return 0.0
        index = np.arange(-CENTRE, CENTRE + 1, dtype=np.float64)
        # Bin 0 is two bins wide around 0 and its values count as 0.
        centres = (index + 0.5 * np.sign(index)) * self.bin_width
        return float(np.sum(self._counts * centres)) / self.n_finite

    def update(self, values: npt.NDArray[np.float32]) -> None:
        """Count ``values`` (float32, any shape).

        Raises:
            ValueError: If the dtype is not float32.
        """
        if values.dtype != np.float32:
            raise ValueError(f"A histogram counts float32 values, got {values.dtype}.")
        flat = values.reshape(-1)
        if not flat.size:
            return
        low, high = flat.min(), flat.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            finite = flat[np.isfinite(flat)]
            self.n_nonfinite += flat.size - finite.size
            self.update(finite)
            return
        # Adding 0.0 turns -0.0 into 0.0: which of the two min() returns depends on the order.
        self._low = min(self._low, float(low) + 0.0)
        self._high = max(self._high, float(high) + 0.0)
        self._raise_exponent(_exponent_of(max(-float(low), float(high))))
        self._count(flat)

    def merge(self, other: Histogram) -> Histogram:
        """Return the histogram of the values of both; neither is changed."""
        merged = self.copy()
        merged._raise_exponent(other.exponent)
        merged._counts += _coarsened(other._counts, merged.exponent - other.exponent)
        merged._low = min(self._low, other._low)
        merged._high = max(self._high, other._high)
        merged.n_finite += other.n_finite
        merged.n_zero += other.n_zero
        merged.n_nonfinite += other.n_nonfinite
        return merged

    def copy(self) -> Histogram:
        """Return an independent copy."""
        other = Histogram()
        other._counts = self._counts.copy()
        other._low, other._high = self._low, self._high
        other.exponent = self.exponent
        other.n_finite, other.n_zero, other.n_nonfinite = self.n_finite, self.n_zero, self.n_nonfinite
        return other

    def to_arrays(self) -> dict[str, Array]:
        """Return ``counts`` (int64, empty ends cut off) and ``header`` (float64[7]), for a blob.

        The header is exponent, index of the first kept bin, low, high, n_finite, n_zero, n_nonfinite.
        Equal data gives equal bytes.
        """
        filled = np.flatnonzero(self._counts)
        first, last = (int(filled[0]), int(filled[-1]) + 1) if filled.size else (CENTRE, CENTRE)
        tallies = [self.n_finite, self.n_zero, self.n_nonfinite]
        header = np.array([self.exponent, first, self.low, self.high, *tallies], np.float64)
        return {"counts": self._counts[first:last].copy(), "header": header}

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Histogram:
        """Return the histogram that ``to_arrays`` wrote.

        Raises:
            ValueError: If the arrays are not such a pair.
        """
        header, counts = arrays["header"], arrays["counts"]
        if header.shape != (7,) or counts.ndim != 1:
            raise ValueError(f"A stored histogram has a header of 7 numbers and flat counts, got {header.shape}.")
        first = int(header[1])
        if not 0 <= first <= first + counts.size <= N_BINS or int(counts.sum()) != int(header[4]):
            raise ValueError("The counts of a stored histogram do not fit its header.")
        histogram = Histogram()
        histogram.exponent = int(header[0])
        histogram._counts[first : first + counts.size] = counts
        histogram.n_finite, histogram.n_zero, histogram.n_nonfinite = (int(value) for value in header[4:])
        if histogram.n_finite:
            histogram._low, histogram._high = float(header[2]), float(header[3])
        return histogram

    def _raise_exponent(self, exponent: int) -> None:
        """Coarsen the counts so that values below ``2**exponent`` have a bin."""
        if exponent > self.exponent:
            self._counts = _coarsened(self._counts, exponent - self.exponent)
            self.exponent = exponent

    def _count(self, flat: npt.NDArray[np.float32]) -> None:
        """Count finite values that fit the current exponent."""
        per_width = np.float32(2.0 ** (BITS_PER_SIDE - self.exponent))
        steps = np.empty(min(_CHUNK, flat.size), np.float32)
        bins = np.empty(steps.size, np.int64)
        for start in range(0, flat.size, _CHUNK):
            chunk = flat[start : start + _CHUNK]
            n = chunk.size
            # A power of two: exact, but for results near 0, which truncate to 0 either way.
            with np.errstate(under="ignore"):
                np.multiply(chunk, per_width, out=steps[:n])
            np.copyto(bins[:n], steps[:n], casting="unsafe")
            bins[:n] += CENTRE
            self._counts += np.bincount(bins[:n], minlength=N_BINS)
            self.n_zero += n - int(np.count_nonzero(chunk != 0))
        self.n_finite += flat.size


def running_merges(parts: Iterable[Histogram]) -> list[Histogram]:
    """Return the histograms of the first part, the first two, and so on.

    This is how smaller sample counts come from one pass: keep one histogram per stretch of samples.
    A difference of two histograms is not offered: it would not know its exact ends.
    """
    merged: list[Histogram] = []
    for part in parts:
        merged.append(merged[-1].merge(part) if merged else part.copy())
    return merged


def _exponent_of(absmax: float) -> int:
    """Return the smallest usable ``e`` with ``absmax < 2**e``."""
    return max(int(np.frexp(absmax)[1]), _LOWEST_EXPONENT) if absmax else _LOWEST_EXPONENT


def _coarsened(counts: npt.NDArray[np.int64], shift: int) -> npt.NDArray[np.int64]:
    """Return the counts with bins ``2**shift`` times as wide: ``k`` goes to ``trunc(k / 2**shift)``."""
    if shift == 0:
        return counts
    positive = counts[CENTRE:].copy()
    negative = counts[CENTRE::-1].copy()
    negative[0] = 0
    per_bin = 1 << min(shift, BITS_PER_SIDE)
    positive = positive.reshape(-1, per_bin).sum(axis=1)
    negative = negative.reshape(-1, per_bin).sum(axis=1)
    coarse = np.zeros(N_BINS, np.int64)
    coarse[CENTRE : CENTRE + positive.size] = positive
    coarse[CENTRE - negative.size + 1 : CENTRE + 1] += negative[::-1]
    return coarse
