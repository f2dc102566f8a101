"""``baseline``: the user's untouched model on every evaluation sample, in the order of the study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from search.evaluation.measure import measure
from search.study.bench import Bench, Raw, save_arrays

MAX_STORED_BYTES = 256 * 2**20
"""Float outputs above this are computed again where they are needed instead of being stored."""


def run_baseline(bench: Bench, params: Mapping[str, Any]) -> Raw:
    """Measure the float model and keep its outputs."""
    loaded = bench.loaded
    uses = bench.uses(params["uses"])
    kept = _Outputs(bench.evaluation.n_samples)
    measured = measure(
        loaded.user_session, bench.evaluation, loaded.feeding, bench.order, uses=uses, reference=None, sink=kept.take
    )
    data = {"parts": {use.id: measured.parts[use.id].to_json() for use in uses}, "digest": measured.digest}
    return Raw(data, {"outputs": save_arrays(kept.arrays)} if kept.arrays else {})


class _Outputs:
    """Outputs by sample index, as long as all of them are small enough to keep."""

    def __init__(self, n_samples: int) -> None:
        self._n_samples = n_samples
        self._too_large = False
        self.arrays: dict[str, npt.NDArray[Any]] = {}

    def take(self, indices: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[Any]]) -> None:
        """Keep the outputs of one run."""
        if self._too_large:
            return
        if not self.arrays:
            self._too_large = self._n_samples * sum(value[0].nbytes for value in values.values()) > MAX_STORED_BYTES
            if self._too_large:
                return
            self.arrays = {
                name: np.empty((self._n_samples, *value.shape[1:]), value.dtype) for name, value in values.items()
            }
        for name, value in values.items():
            self.arrays[name][indices] = value
