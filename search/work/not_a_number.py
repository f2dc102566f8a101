"""NaN in the outputs of the float model: nothing can be compared with it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.errors import InvalidDataError


class NotANumber:
    """Looks for NaN in outputs, run by run.

    Args:
        where: Name of the data, for the error.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._bad: dict[str, list[int]] = {}

    def take(self, indices: npt.NDArray[np.int64], values: Mapping[str, Array]) -> None:
        """Look at the outputs of one run."""
        for name, value in values.items():
            if value.dtype.kind == "f" and np.isnan(value).any():
                rows = np.isnan(value).reshape(len(value), -1).any(axis=1)
                self._bad.setdefault(name, []).extend(indices[rows].tolist())

    def check(self) -> None:
        """Refuse what was found.

        Raises:
            InvalidDataError: Names the output and the samples.
        """
        for name, samples in self._bad.items():
            first = ", ".join(map(str, sorted(samples)[:5]))
            raise InvalidDataError(
                f"{self._where}: the float model itself gives NaN at output {name!r} on {len(samples)} samples (such "
                f"as {first}), so nothing can be compared with it. Look for a division by zero, or leave them out."
            )
