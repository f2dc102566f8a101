"""``baseline``: what the outputs of the float model are worth by the metrics of the goals.

Beside the metrics it gives the margins of top-k goals, from which the estimator predicts how many samples noise turns
over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.canonical import Json
from search.encoding import decoded
from search.evaluation.measure import Runnable, Samples, Use, measure
from search.metrics.margins import PLACES, margin_order, margins
from search.metrics.part import Part, StoredPart
from search.runtime.feeding import Feeding
from search.spec.output_part import output_of
from search.tasks import Kind
from search.work.arrays import load_arrays, save_arrays
from search.work.conditions import MetricUse, SampleSet
from search.work.input_ends import Ends, WatchedSamples
from search.work.item_runner import ItemRunner, Raw
from search.work.model_run import model_run
from search.work.not_a_number import NotANumber

KIND = Kind(name="baseline", label="evaluate the float model", doing="evaluating float", phase="baseline")
OUTPUTS = "outputs"
"""Blob: outputs by sample index, put together from ranges."""
ORDER = "order"
"""Blob: samples by margin, where every goal has margins for all of them."""
MAX_MARGINS = 16384
"""Numbers, over all goals, that a result has room for: 87 KiB."""


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The float model, measured.

    Attributes:
        parts: Goal to its result.
        digest: Of the outputs.
        inputs: Input to its smallest and largest value; empty where kept outputs were measured.
        constant: Outputs that are the same for every sample.
        margins: Goal to the margins of the first samples of the order.
    """

    parts: Mapping[str, StoredPart]
    digest: str
    inputs: Mapping[str, Ends]
    constant: tuple[str, ...]
    margins: Mapping[str, StoredPart]


@dataclass(frozen=True, kw_only=True)
class MeasureFloat:
    """Measure the float model: on its outputs if they were kept, else by running it.

    Attributes:
        samples: Evaluation samples.
        seed: Of their order.
        uses: Metrics of the goals.
        float_outputs: Blobs of its outputs: one by sample index, or several of consecutive ranges of the order; empty
            where they were too large.
    """

    kind: ClassVar[Kind] = KIND
    samples: SampleSet
    seed: int
    uses: tuple[MetricUse, ...]
    float_outputs: tuple[str, ...]

    def read(self, data: Json) -> Baseline:
        """Read a stored result."""
        return decoded(Baseline, data)

    def run(self, runner: ItemRunner) -> Raw[Baseline]:
        """Measure the metrics and the margins."""
        loaded, watched = runner.loaded, WatchedSamples(runner.evaluation)
        uses = runner.uses(self.uses)
        margin = _Margins(uses, watched)
        session: Runnable = loaded.user_session
        source: Samples = watched
        arrays = _kept_outputs(runner, self.float_outputs)
        feeding, watch = loaded.feeding, NotANumber(runner.evaluation.name)
        if arrays is not None:
            session = source = _Kept(arrays, watched)
            feeding = Feeding(feeding.batch, fixed=feeding.fixed)  # what was kept has the sample first

        def look(indices: npt.NDArray[np.int64], values: Mapping[str, Array]) -> None:
            watch.take(indices, values)
            margin.take(indices, values)

        loop = model_run(loaded.user_session, runner.sets["evaluation"], loaded.feeding)
        measured = measure(session, source, feeding, runner.order, uses=uses, reference=None, sink=look, loop=loop)
        watch.check()
        value = Baseline(
            parts={use.id: measured.parts[use.id] for use in uses},
            digest=measured.digest,
            inputs=watched.ends,
            constant=tuple(name for name, one in (arrays or {}).items() if _is_constant(one)),
            margins={name: Part(len(found), values=found) for name, found in margin.found().items()},
        )
        blobs = {ORDER: save_arrays({ORDER: margin_order(margin.found())})} if margin.are_complete else {}
        if arrays is not None and len(self.float_outputs) > 1:
            blobs[OUTPUTS] = save_arrays(arrays)
        return Raw(value, blobs)


def _kept_outputs(runner: ItemRunner, kept: Sequence[str]) -> dict[str, Array] | None:
    """Outputs by sample index: kept as a whole, kept in ranges of the order one after the other, or not kept."""
    if not kept:
        return None
    parts = [load_arrays(runner.files.get(digest)) for digest in kept]
    if len(parts) == 1:
        return parts[0]
    whole = {}
    for name in parts[0]:
        ordered = np.concatenate([part[name] for part in parts])
        whole[name] = np.empty_like(ordered)
        whole[name][runner.order] = ordered
    return whole


def _is_constant(rows: Array) -> bool:
    return len(rows) > 1 and rows.size > 0 and bool((rows == rows[:1]).all())


class _Kept:
    """Outputs that were kept, with the surface of samples and of the model that turns them into outputs."""

    def __init__(self, arrays: Mapping[str, Array], source: WatchedSamples) -> None:
        self._arrays = arrays
        self._source = source
        self.outputs = tuple(arrays)

    def batch(self, indices: npt.NDArray[np.int64]) -> dict[str, Array]:
        """The indices themselves."""
        return {"indices": indices}

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return self._source.label_keys

    def labels(self, key: str) -> Array:
        """Labels of all samples."""
        return self._source.labels(key)

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Look up the outputs of the indices."""
        indices = np.asarray(feeds["indices"], dtype=np.int64)
        return {name: self._arrays[output_of(name)][indices] for name in outputs or self.outputs}


class _Margins:
    """Margins of the first samples of the order, per goal that has them."""

    def __init__(self, uses: Sequence[Use], samples: WatchedSamples) -> None:
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

    def take(self, indices: npt.NDArray[np.int64], values: Mapping[str, Array]) -> None:
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
