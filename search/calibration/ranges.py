"""Ranges of every tensor by method and width, derived from histograms; and how they are kept.

A method that fails on a tensor leaves NaN there; the method then counts as failed and is shown as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.errors import InvalidDataError
from search.quant.grid import ScaleRule
from search.quant.histogram import Histogram
from search.quant.observers import METHODS


@dataclass(frozen=True, eq=False)
class Ranges:
    """Derived ranges.

    Attributes:
        by_method: ``(method, bits)`` to float64 ``[tensors, 2]``: lowest and highest value to cover.
        extremes: float64 ``[tensors, 2]``: smallest and largest value seen.
        nonfinite: int64 ``[tensors]``: values seen that were NaN or infinite.
        integral: bool ``[tensors]``: tensors fed from outside that held whole numbers only.
        masks: Constant to what its masked values count as (see ``masks``).
    """

    by_method: Mapping[tuple[str, int], npt.NDArray[np.float64]]
    extremes: npt.NDArray[np.float64]
    nonfinite: npt.NDArray[np.int64]
    integral: npt.NDArray[np.bool_]
    masks: Mapping[int, float] = field(default_factory=dict)

    def failed(self, method: str, bits: int) -> bool:
        """Whether ``method`` gave no range for some tensor that holds finite values."""
        usable = np.isfinite(self.extremes).all(axis=1)
        return bool(np.isnan(self.by_method[(method, bits)][usable]).any())

    def to_arrays(self) -> dict[str, Array]:
        """Return named arrays for a blob."""
        named: dict[str, Array] = {
            "extremes": self.extremes,
            "nonfinite": self.nonfinite,
            "integral": self.integral,
            "masks": pairs_to_array(self.masks),
        }
        named.update({f"{method}/{bits}": array for (method, bits), array in self.by_method.items()})
        return named

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array]) -> Ranges:
        """Read what ``to_arrays`` wrote."""
        methods = {
            (name.split("/")[0], int(name.split("/")[1])): arrays[name] for name in arrays if name.count("/") == 1
        }
        masks = pairs_from_array(arrays["masks"])
        return Ranges(methods, arrays["extremes"], arrays["nonfinite"], arrays["integral"], masks)


def pairs_to_array(pairs: Mapping[int, float]) -> npt.NDArray[np.float64]:
    """Return a mapping as rows of key and value, float64 ``[n, 2]``, in the order of the keys."""
    return np.array(sorted(pairs.items()), dtype=np.float64).reshape(-1, 2)


def pairs_from_array(rows: Array) -> dict[int, float]:
    """Read what ``pairs_to_array`` wrote."""
    return {int(key): float(value) for key, value in rows}


def derive_ranges(
    histograms: Sequence[Histogram],
    wanted: Iterable[tuple[str, int]],
    *,
    rule: ScaleRule,
    integral: Sequence[bool] | None = None,
    lowest: Mapping[int, float] | None = None,
) -> Ranges:
    """Apply each ``(method, bits)`` of ``wanted`` to every histogram.

    Args:
        histograms: One per tensor.
        wanted: Methods and widths.
        rule: How ranges become scales.
        integral: As in ``Collected``; all False where not known.
        lowest: ``Collected.masked``: the extremes are those of all values, masked ones included.
    """
    extremes = np.array([_extremes(histogram) for histogram in histograms], dtype=np.float64).reshape(-1, 2)
    for tensor, low in (lowest or {}).items():
        extremes[tensor, 0] = min(low, extremes[tensor, 0])
    nonfinite = np.array([histogram.n_nonfinite for histogram in histograms], dtype=np.int64)
    by_method = {
        (method, bits): np.array([_range(h, method, bits, rule) for h in histograms], dtype=np.float64).reshape(-1, 2)
        for method, bits in wanted
    }
    whole = np.zeros(len(histograms), np.bool_) if integral is None else np.array(integral, np.bool_)
    return Ranges(by_method, extremes, nonfinite, whole)


def _extremes(histogram: Histogram) -> tuple[float, float]:
    return (histogram.low, histogram.high) if histogram.count else (float("nan"), float("nan"))


def _range(histogram: Histogram, method: str, bits: int, rule: ScaleRule) -> tuple[float, float]:
    try:
        return METHODS[method](histogram, bits, rule)
    except InvalidDataError:
        return (float("nan"), float("nan"))
