"""The smallest and largest values of inputs that were run: what calibration ranges are compared to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.data.source import SampleSource

Ends = tuple[float, float]


class WatchedSamples:
    """Samples that remember the smallest and largest value of every input they handed out."""

    def __init__(self, source: SampleSource) -> None:
        self._source = source
        self.ends: dict[str, Ends] = {}

    def batch(self, indices: npt.NDArray[np.int64]) -> dict[str, Array]:
        """Inputs of these samples."""
        found = self._source.batch(indices)
        for name, array in found.items():
            low, high = self.ends.get(name, (float("inf"), float("-inf")))
            if array.size:
                self.ends[name] = (min(low, float(array.min())), max(high, float(array.max())))
        return found

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return self._source.label_keys

    def labels(self, key: str) -> Array:
        """Labels of all samples."""
        return self._source.labels(key)
