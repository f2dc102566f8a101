"""``baseline``: the user's untouched model on every evaluation sample, in the order of the study.

Beside the metrics it gives the margins of top-k goals, from which the estimator predicts how many samples noise
turns over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search.data.source import SampleSource
from search.evaluation.measure import Use, measure
from search.metrics.margins import PLACES, margin_order, margins
from search.metrics.part import Part
from search.study.bench import Bench, Raw, save_arrays

MAX_STORED_BYTES = 256 * 2**20
"""Float outputs above this are computed again where they are needed instead of being stored."""
MAX_MARGINS = 16384
"""Numbers, over all goals, that a result has room for: 87 KiB."""


def run_baseline(bench: Bench, params: Mapping[str, Any]) -> Raw:
    """Measure the float model and keep its outputs."""
    loaded = bench.loaded
    uses = bench.uses(params["uses"])
    kept = _Outputs(bench.evaluation.n_samples)
    samples = _Watched(bench.evaluation)
    margin = _Margins(uses, samples)

    def sink(indices: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[Any]]) -> None:
        kept.take(indices, values)
        margin.take(indices, values)

    measured = measure(loaded.user_session, samples, loaded.feeding, bench.order, uses=uses, reference=None, sink=sink)
    data = {
        "parts": {use.id: measured.parts[use.id].to_json() for use in uses},
        "digest": measured.digest,
        "inputs": {name: list(ends) for name, ends in samples.ends.items()},
        "margins": {name: Part(len(found), values=found).to_json() for name, found in margin.found().items()},
    }
    blobs = {"outputs": save_arrays(kept.arrays)} if kept.arrays else {}
    if margin.are_complete:
        blobs["order"] = save_arrays({"order": margin_order(margin.found())})
    return Raw(data, blobs)


class _Watched:
    """Samples that remember the smallest and largest value of every input they handed out."""

    def __init__(self, source: SampleSource) -> None:
        self._source = source
        self.ends: dict[str, tuple[float, float]] = {}

    def batch(self, indices: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """Inputs of these samples."""
        found = self._source.batch(indices)
        for name, array in found.items():
            low, high = self.ends.get(name, (float("inf"), float("-inf")))
            self.ends[name] = (min(low, float(array.min())), max(high, float(array.max())))
        return found

    def labels(self, key: str) -> npt.NDArray[Any]:
        """Labels of all samples."""
        return self._source.labels(key)


class _Margins:
    """Margins of the first samples of the order, per goal that has them."""

    def __init__(self, uses: Sequence[Use], samples: _Watched) -> None:
        self._uses = [use for use in uses if use.metric.name in PLACES and use.labels is not None]
        self._samples = samples
        self._n_goals = len(uses)
        self._room = MAX_MARGINS // max(1, len(self._uses))
        self._parts: dict[str, list[npt.NDArray[np.float32]]] = {use.id: [] for use in self._uses}
        self._n = 0

    @property
    def are_complete(self) -> bool:
        """Whether every goal has a margin for every sample."""
        found = self.found()
        return bool(found) and len(found) == self._n_goals and all(len(one) == self._n for one in found.values())

    def take(self, indices: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take the outputs of one run."""
        self._n += len(indices)
        if self._n > self._room:
            return
        for use in self._uses:
            assert use.labels is not None
            labels = self._samples.labels(use.labels)[indices]
            part = margins(values[use.output], labels, places=PLACES[use.metric.name])
            if part is not None:
                self._parts[use.id].append(part)

    def found(self) -> dict[str, npt.NDArray[np.float32]]:
        """Goal to its margins."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items() if parts}


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
