"""``float``: the user's untouched model on evaluation samples; its outputs are kept unless they are too large.

It is no part of what its outputs are worth (``baseline``), so that a search with other metrics runs no sample again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.canonical import Json
from search.encoding import decoded
from search.evaluation.measure import runs
from search.tasks import Kind
from search.work.arrays import save_arrays
from search.work.conditions import SampleSet
from search.work.input_ends import Ends, WatchedSamples
from search.work.item_runner import ItemRunner, Raw
from search.work.not_a_number import NotANumber

KIND = Kind(name="float", label="run the float model", doing="evaluating float", phase="baseline")
OUTPUTS = "outputs"
"""Blob: outputs by name; missing where they are too large."""
MAX_STORED_BYTES = 256 * 2**20
"""Float outputs above this are computed again where they are needed instead of being stored."""


@dataclass(frozen=True)
class FloatRun:
    """What ran.

    Attributes:
        inputs: Input to its smallest and largest value; empty where the outputs were too large and nothing ran.
    """

    inputs: Mapping[str, Ends]


@dataclass(frozen=True, kw_only=True)
class RunFloat:
    """Run the float model in the order of the study.

    Attributes:
        samples: Evaluation samples.
        seed: Of their order.
        outputs: Outputs that some goal reads.
        range: Of the order, start and stop: gives outputs in that order. None: all samples, outputs by their index.
    """

    kind: ClassVar[Kind] = KIND
    samples: SampleSet
    seed: int
    outputs: tuple[str, ...]
    range: tuple[int, int] | None = None

    def read(self, data: Json) -> FloatRun:
        """Read a stored result."""
        return decoded(FloatRun, data)

    def run(self, runner: ItemRunner) -> Raw[FloatRun]:
        """Run the samples and keep the outputs, or say that they are too large."""
        loaded, watched = runner.loaded, WatchedSamples(runner.evaluation)
        n_samples = runner.evaluation.n_samples
        start, stop = self.range or (0, n_samples)
        order = runner.order[start:stop]
        rows = order if self.range is None else np.arange(len(order))
        kept, begun = _Outputs(n_samples, len(order)), 0
        kept.are_too_large = runner.sets["evaluation"].differs  # outputs of several sizes do not stack
        watch = NotANumber(runner.evaluation.name)
        for indices, values in runs(loaded.user_session, watched, loaded.feeding, order, self.outputs):
            watch.take(indices, values)
            kept.take(rows[begun : begun + len(indices)], values)
            begun += len(indices)
            if kept.are_too_large:
                return Raw(FloatRun({}))
        watch.check()
        return Raw(FloatRun(watched.ends), {OUTPUTS: save_arrays(kept.arrays)})


class _Outputs:
    """Outputs by row, as long as those of all samples are small enough to keep; else ``are_too_large``."""

    def __init__(self, n_samples: int, n_rows: int) -> None:
        self._n_samples = n_samples
        self._n_rows = n_rows
        self.are_too_large = False
        self.arrays: dict[str, Array] = {}

    def take(self, rows: npt.NDArray[np.int64], values: Mapping[str, Array]) -> None:
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
        if any(self.arrays[name].shape[1:] != value.shape[1:] for name, value in values.items()):
            self.are_too_large, self.arrays = True, {}  # results of several sizes do not stack
            return
        for name, value in values.items():
            self.arrays[name][rows] = value
