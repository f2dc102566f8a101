"""``float``: the user's untouched model on every evaluation sample. ``baseline``: what its outputs are worth.

They are two items, so that a search with other metrics runs no sample again. Outputs too large to keep are not: then
``float`` ends at once and ``baseline`` runs the model. Beside the metrics it gives the margins of top-k goals, from
which the estimator predicts how many samples noise turns over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search.data.source import SampleSource
from search.errors import InvalidDataError
from search.evaluation.measure import Runnable, Samples, Use, measure, runs
from search.metrics.margins import PLACES, margin_order, margins
from search.metrics.part import Part
from search.runtime.feeding import Feeding
from search.work.item_runner import ItemRunner, Raw, load_arrays, save_arrays
from search.work.model_run import model_run

MAX_STORED_BYTES = 256 * 2**20
"""Float outputs above this are computed again where they are needed instead of being stored."""
MAX_MARGINS = 16384
"""Numbers, over all goals, that a result has room for: 87 KiB."""


def run_float(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Run the float model in the order of the study and keep its outputs, or say that they are too large.

    A ``range`` of the order gives outputs in that order, all samples give them by their index.
    """
    loaded, samples = runner.loaded, _Watched(runner.evaluation)
    start, stop = params.get("range", (0, runner.evaluation.n_samples))
    order = runner.order[start:stop]
    rows = np.arange(len(order)) if "range" in params else order
    kept, begun = _Outputs(runner.evaluation.n_samples, len(order)), 0
    kept.are_too_large = runner.sets["evaluation"].differs  # outputs of several sizes do not stack
    watch = _NotANumber(runner.evaluation.name)
    for indices, values in runs(loaded.user_session, samples, loaded.feeding, order, params["outputs"]):
        watch.take(indices, values)
        kept.take(rows[begun : begun + len(indices)], values)
        begun += len(indices)
        if kept.are_too_large:
            return Raw({"inputs": {}})
    watch.check()
    return Raw({"inputs": samples.spans}, {"outputs": save_arrays(kept.arrays)})


def run_baseline(runner: ItemRunner, params: Mapping[str, Any]) -> Raw:
    """Measure the float model: on its outputs if they were kept, else by running it."""
    loaded, samples = runner.loaded, _Watched(runner.evaluation)
    uses = runner.uses(params["uses"])
    margin = _Margins(uses, samples)
    session: Runnable = loaded.user_session
    source: Samples = samples
    arrays = _kept_outputs(runner, params["float"])
    if arrays is not None:
        session = source = _Kept(arrays, samples)
    feeding, watch = loaded.feeding, _NotANumber(runner.evaluation.name)
    if arrays is not None:
        feeding = Feeding(feeding.batch, fixed=feeding.fixed)  # what was kept has the sample first

    def look(indices: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[Any]]) -> None:
        watch.take(indices, values)
        margin.take(indices, values)

    loop = model_run(loaded.user_session, runner.sets["evaluation"], loaded.feeding)
    measured = measure(session, source, feeding, runner.order, uses=uses, reference=None, sink=look, loop=loop)
    watch.check()
    data = {
        "parts": {use.id: measured.parts[use.id].to_json() for use in uses},
        "digest": measured.digest,
        "inputs": samples.spans,
        "constant": [name for name, one in (arrays or {}).items() if _is_constant(one)],
        "margins": {name: Part(len(found), values=found).to_json() for name, found in margin.found().items()},
    }
    blobs = {"order": save_arrays({"order": margin_order(margin.found())})} if margin.are_complete else {}
    if arrays is not None and not isinstance(params["float"], str):
        blobs["outputs"] = save_arrays(arrays)
    return Raw(data, blobs)


def _kept_outputs(runner: ItemRunner, kept: str | Sequence[str] | None) -> dict[str, npt.NDArray[Any]] | None:
    """Outputs by sample index: kept as a whole, kept in ranges of the order one after the other, or not kept."""
    if kept is None:
        return None
    if isinstance(kept, str):
        return load_arrays(runner.files.get(kept))
    parts = [load_arrays(runner.files.get(digest)) for digest in kept]
    whole = {}
    for name in parts[0]:
        ordered = np.concatenate([part[name] for part in parts])
        whole[name] = np.empty_like(ordered)
        whole[name][runner.order] = ordered
    return whole


def _is_constant(rows: npt.NDArray[Any]) -> bool:
    """Whether an output is the same for every sample."""
    return len(rows) > 1 and rows.size > 0 and bool((rows == rows[:1]).all())


class _NotANumber:
    """Looks for NaN in the outputs of the float model: nothing can be compared with it."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._bad: dict[str, list[int]] = {}

    def take(self, indices: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[Any]]) -> None:
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


class _Watched:
    """Samples that remember the smallest and largest value of every input they handed out."""

    def __init__(self, source: SampleSource) -> None:
        self._source = source
        self._ends: dict[str, tuple[float, float]] = {}

    @property
    def spans(self) -> dict[str, list[float]]:
        """Input to the smallest and largest value seen."""
        return {name: list(ends) for name, ends in self._ends.items()}

    def batch(self, indices: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """Inputs of these samples."""
        found = self._source.batch(indices)
        for name, array in found.items():
            low, high = self._ends.get(name, (float("inf"), float("-inf")))
            if array.size:
                self._ends[name] = (min(low, float(array.min())), max(high, float(array.max())))
        return found

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return self._source.label_keys

    def labels(self, key: str) -> npt.NDArray[Any]:
        """Labels of all samples."""
        return self._source.labels(key)


class _Kept:
    """Outputs that were kept, with the surface of samples and of the model that turns them into outputs."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[Any]], source: _Watched) -> None:
        self._arrays = arrays
        self._source = source
        self.outputs = tuple(arrays)

    def batch(self, indices: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """The indices themselves."""
        return {"indices": indices}

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return self._source.label_keys

    def labels(self, key: str) -> npt.NDArray[Any]:
        """Labels of all samples."""
        return self._source.labels(key)

    def run(
        self, feeds: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str] | None = None
    ) -> dict[str, npt.NDArray[Any]]:
        """Look up the outputs of the indices."""
        return {name: self._arrays[name][feeds["indices"]] for name in outputs or self.outputs}


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
    """Outputs by row, as long as those of all samples are small enough to keep; else ``are_too_large``."""

    def __init__(self, n_samples: int, n_rows: int) -> None:
        self._n_samples = n_samples
        self._n_rows = n_rows
        self.are_too_large = False
        self.arrays: dict[str, npt.NDArray[Any]] = {}

    def take(self, rows: npt.NDArray[np.int64], values: Mapping[str, npt.NDArray[Any]]) -> None:
        """Keep the outputs of one run."""
        if self.are_too_large:
            return
        if not self.arrays:
            self.are_too_large = self._n_samples * sum(value[0].nbytes for value in values.values()) > MAX_STORED_BYTES
            if self.are_too_large:
                return
            self.arrays = {
                name: np.empty((self._n_rows, *value.shape[1:]), value.dtype) for name, value in values.items()
            }
        for name, value in values.items():
            self.arrays[name][rows] = value
