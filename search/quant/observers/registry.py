"""The calibration methods by name, simplest first: among equally good ones the first is preferred."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from search.quant.grid import ScaleRule
from search.quant.histogram import Histogram
from search.quant.observers.kl import kl
from search.quant.observers.kl_v2 import kl_v2
from search.quant.observers.min_max import min_max
from search.quant.observers.mix import mix
from search.quant.observers.mse import mse
from search.quant.observers.percentile import percentile

Observer: TypeAlias = Callable[[Histogram, int, ScaleRule], tuple[float, float]]
"""``(histogram, bits, rule) -> (low, high)``: the range that ``make_grid`` should cover."""

METHODS: Mapping[str, Observer] = MappingProxyType(
    {"min_max": min_max, "percentile": percentile, "mse": mse, "kl": kl, "kl_v2": kl_v2, "mix": mix}
)
