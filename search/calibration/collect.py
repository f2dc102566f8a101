"""The one pass: histograms of every tensor while the float model runs on the calibration samples.

Histograms are kept for consecutive parts of the samples, so that a smaller sample count is a prefix of the parts.
The bins are dyadic and merge exactly: neither the batch size nor the cut into parts changes the sum (see docs/numerics.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from search.graph.network import Network
from search.quant.histogram import Histogram, running_merges
from search.runtime.feeding import Feeding
from search.runtime.session import Level, Session

MAX_RUN_BYTES = 256 * 2**20  # of intermediate tensors held at once


class Samples(Protocol):
    """Model inputs by sample index."""

    def batch(self, indices: npt.NDArray[np.int64]) -> Mapping[str, npt.NDArray[Any]]:
        """Input name to array with the samples ``indices`` on axis 0."""
        ...


@dataclass(frozen=True, eq=False)
class Collected:
    """Histograms per part and tensor; ``bounds[p]`` samples lie in the parts up to and with ``p``."""

    parts: tuple[tuple[Histogram, ...], ...]
    bounds: tuple[int, ...]

    def at(self, n_samples: int) -> tuple[Histogram, ...]:
        """Histograms of the first ``n_samples`` samples; the count must be one of ``bounds``."""
        last = self.bounds.index(n_samples)
        return tuple(
            running_merges([part[t] for part in self.parts[: last + 1]])[-1] for t in range(len(self.parts[0]))
        )


def part_bounds(n_samples: int) -> tuple[int, ...]:
    """A quarter, a half and all of the samples, as far as these differ."""
    return tuple(sorted({max(1, n_samples // 4), max(1, n_samples // 2), n_samples}))


def collect(
    model: onnx.ModelProto, network: Network, samples: Samples, *, n_samples: int, feeding: Feeding, threads: int
) -> Collected:
    """Run the float model over the first ``n_samples`` samples and count every tensor's values."""
    names = [tensor.name for tensor in network.tensors]
    session = Session(with_outputs(model, names), level=Level.DEPLOYED, threads=threads)
    read = [name for name in names if name in session.outputs]
    feeding = bounded(feeding, network)
    bounds = part_bounds(n_samples)
    parts = []
    start = 0
    for end in bounds:
        part = {name: Histogram() for name in names}
        for indices, fresh in feeding.slices(np.arange(start, end)):
            feeds = samples.batch(indices)
            for name, value in _values(session, feeds, read, names):
                part[name].update(
                    np.ascontiguousarray(value[:fresh] if len(value) == len(indices) else value, dtype=np.float32)
                )
        parts.append(tuple(part[name] for name in names))
        start = end
    return Collected(tuple(parts), bounds)


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Return a copy of ``model`` that also gives the values ``names`` (model inputs are left out)."""
    inputs = {value.name for value in model.graph.input}
    have = {value.name for value in model.graph.output}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in have | inputs
    )
    return copy


def bounded(feeding: Feeding, network: Network, max_bytes: int = MAX_RUN_BYTES) -> Feeding:
    """The feeding with a batch small enough that all tensors of one run fit into ``max_bytes``."""
    per_sample = 4 * sum(tensor.elements for tensor in network.tensors)
    if feeding.fixed:
        return feeding
    return Feeding(batch=int(np.clip(max_bytes // max(1, per_sample), 1, feeding.batch)), fixed=False)


def _values(
    session: Session, feeds: Mapping[str, npt.NDArray[Any]], read: Sequence[str], names: Sequence[str]
) -> Iterable[tuple[str, npt.NDArray[Any]]]:
    yield from session.run(feeds, read).items()
    yield from ((name, feeds[name]) for name in names if name in feeds and name not in read)
