"""Observer ``percentile``: leave out the rarest values.

Symmetric rules: ``T`` with ``share`` of all ``|x| <= T``. Asymmetric: half of ``1 - share`` is cut at each end.
See docs/numerics.md#observers.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from search.quant.density import folded_counts, signed_counts
from search.quant.grid import ScaleRule
from search.quant.histogram import Histogram
from search.quant.observers.min_max import clip_to, min_max

DoubleArray: TypeAlias = npt.NDArray[np.float64]

DEFAULT_SHARE = 0.9999


def percentile(
    histogram: Histogram, bits: int, rule: ScaleRule, *, share: float = DEFAULT_SHARE
) -> tuple[float, float]:
    """Return the range that holds ``share`` of the finite values, zeros included.

    Where nearly all values are zero this range would be empty; then it is the exact range.

    Raises:
        InvalidDataError: If there is no finite value.
        ValueError: If ``share`` is not in ``(0, 1]``.
    """
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share must be in (0, 1], got {share}.")
    ends = min_max(histogram, bits, rule)
    n_allowed = (1.0 - share) * histogram.n_finite
    if rule.symmetric:
        threshold = _position(folded_counts(histogram), n_allowed) * histogram.bin_width
        return clip_to(ends, threshold) if threshold else ends
    sides = signed_counts(histogram)
    lowest = _position(sides.counts[: sides.n_negative][::-1], n_allowed / 2) * histogram.bin_width
    highest = _position(sides.counts[sides.n_negative :], n_allowed / 2) * histogram.bin_width
    return (max(ends[0], -lowest), min(ends[1], highest)) if lowest or highest else ends


def _position(counts: DoubleArray, n_allowed: float) -> float:
    """Return the distance from 0, in bins, beyond which ``n_allowed`` of the values lie.

    Inside a bin values count as evenly spread. Zeros need no bin: they lie beyond no distance.
    """
    beyond = np.append(np.cumsum(counts[::-1])[::-1], 0.0)
    inside = int(np.searchsorted(-beyond, -n_allowed, side="left"))
    if inside == 0:
        return 0.0
    # beyond[inside - 1] > n_allowed >= beyond[inside]: the cut runs through bin inside - 1.
    return inside - float((n_allowed - beyond[inside]) / (beyond[inside - 1] - beyond[inside]))
