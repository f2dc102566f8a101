"""Observer ``min_max``: the exact smallest and largest value, widened to contain 0, so nothing is clipped."""

from __future__ import annotations

from search.errors import InvalidDataError
from search.quant.grid import ScaleRule
from search.quant.histogram import Histogram


def min_max(histogram: Histogram, bits: int, rule: ScaleRule) -> tuple[float, float]:
    """Return ``(min(x, 0), max(x, 0))`` over the finite values ``x``; the same for every width and rule.

    Raises:
        InvalidDataError: If there is no finite value.
    """
    del bits, rule
    if not histogram.n_finite:
        raise InvalidDataError(
            f"A tensor has no finite value in the calibration data ({histogram.n_nonfinite} are NaN or infinite). "
            "Check the data and the model's outputs on it, or give this tensor a fixed range."
        )
    return min(histogram.low, 0.0), max(histogram.high, 0.0)


def clip_to(ends: tuple[float, float], threshold: float) -> tuple[float, float]:
    """Return the range ``ends``, which contains 0, cut to ``[-threshold, threshold]``."""
    low, high = ends
    return max(low, -threshold), min(high, threshold)
