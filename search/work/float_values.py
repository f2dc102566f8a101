"""Values of the float model on the samples that points are measured on: outputs, and what crosses the cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.calibration.collect import with_outputs
from search.data.source import SampleSource
from search.runtime.feeding import Feeding
from search.runtime.session import Level, Session
from search.sensitivity.tails import cut_positions, values_at
from search.work.loaded import Loaded

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Run:
    """One run of the float model.

    Attributes:
        feeds: Its inputs.
        values: Outputs, and what crosses cuts.
        batch: Samples in it.
        fresh: The first of them that count; the others fill it up.
        feeding: Where the samples lie in outputs.
    """

    feeds: Mapping[str, Array]
    values: Mapping[str, Array]
    batch: int
    fresh: int
    feeding: Feeding

    def rows(self, name: str, value: Array) -> Array:
        """The samples that count, of a value that this run or one like it gave."""
        return self.feeding.rows(name, value, self.batch, self.fresh)


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
        self._last: tuple[bytes, tuple[Run, ...]] | None = None

    def runs(self, indices: Indices) -> Sequence[Run]:
        """What goes in and what comes out, run by run."""
        key = indices.tobytes()
        if self._last is None or self._last[0] != key:
            self._last = None
            self._last = (key, tuple(self._run(*one) for one in self._loaded.feeding.slices(indices)))
        return self._last[1]

    def crossing(self, cut: int, run: Run) -> Mapping[str, Array]:
        """What crosses a cut in one run."""
        return {name: run.values[name] for name in self._crossing.get(cut, ())}

    def _run(self, indices: Indices, fresh: int) -> Run:
        feeds = self._source.batch(indices)
        return Run(feeds, self._session.run(feeds, self._names), len(indices), fresh, self._loaded.feeding)
