"""Observer ``mix``: per tensor, the method whose grid has the smallest expected squared error.

See docs/numerics.md#observers.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from search.quant.density import density_of
from search.quant.error import range_errors
from search.quant.grid import ScaleRule
from search.quant.histogram import Histogram
from search.quant.observers.kl import kl
from search.quant.observers.kl_v2 import kl_v2
from search.quant.observers.min_max import min_max
from search.quant.observers.mse import mse
from search.quant.observers.percentile import percentile

Range: TypeAlias = tuple[float, float]


def mix(histogram: Histogram, bits: int, rule: ScaleRule) -> Range:
    """Return the best range of the other methods; the simplest of equals.

    Raises:
        InvalidDataError: If there is no finite value.
    """
    # Simplest first: argmin takes the first of equals.
    ranges = [method(histogram, bits, rule) for method in (min_max, percentile, mse, kl, kl_v2)]
    lows, highs = np.array(ranges).T
    errors = range_errors(density_of(histogram), lows, highs, bits=bits, rule=rule)
    return ranges[int(np.argmin(errors))]
