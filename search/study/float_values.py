"""Values of the float model on the samples that points are measured on: outputs, and what crosses the cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search.calibration.collect import with_outputs
from search.data.source import SampleSource
from search.runtime.session import Level, Session
from search.sensitivity.tails import cut_positions, values_at
from search.study.loaded import Loaded

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]
Runs = Sequence[Mapping[str, Array]]


class FloatValues:
    """The prepared float model, run once per set of samples; the last set is kept.

    Attributes:
        outputs: Values that errors are taken of.
        cuts: Where tails start, as positions in the prepared graph; the first is 0.
    """

    def __init__(self, loaded: Loaded, source: SampleSource, outputs: Sequence[str], *, threads: int) -> None:
        self._loaded = loaded
        self._source = source
        self.outputs = tuple(outputs)
        model = loaded.template.model
        work = {group.name: float(group.macs) for group in loaded.structure.network.groups}
        self.cuts = cut_positions(model, work)
        self._crossing = {cut: values_at(model, cut) for cut in self.cuts if cut}
        names = dict.fromkeys((*self.outputs, *(name for one in self._crossing.values() for name in one)))
        self._names = tuple(names)
        self._session = Session(with_outputs(model, self._names), level=Level.PINNED, threads=threads)
        self._last: tuple[bytes, Runs] | None = None

    def runs(self, indices: Indices) -> Runs:
        """All values, run by run; the last run may be padded."""
        key = indices.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = None
            runs = [
                self._session.run(self._source.batch(batch), self._names)
                for batch, _ in self._loaded.feeding.slices(indices)
            ]
            self._last = (key, runs)
        return self._last[1]

    def crossing(self, cut: int, indices: Indices) -> Runs:
        """What crosses a cut, run by run."""
        names = self._crossing.get(cut, ())
        return [{name: run[name] for name in names} for run in self.runs(indices)]
