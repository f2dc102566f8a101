"""The one pass: histograms of every tensor while the float model runs on the calibration samples.

Histograms are kept for consecutive parts of the samples, so that a smaller sample count is a prefix of the parts.
The bins are dyadic and merge exactly: neither the batch size nor the cut into parts changes the sum
(see docs/numerics.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from search.arrays import Array
from search.calibration.masks import MaskedSoftmax, Masks, masked_softmaxes
from search.calibration.ranges import pairs_from_array, pairs_to_array
from search.graph.network import Network
from search.quant.histogram import Histogram, running_merges
from search.runtime.feeding import Feeding
from search.runtime.session import Level, Session
from search.spec.output_part import outputs_of_parts

MAX_RUN_BYTES = 16 * 2**20  # of intermediate tensors held at once: what was just written is still in the cache


class Samples(Protocol):
    """Model inputs by sample index."""

    def batch(self, indices: npt.NDArray[np.int64]) -> Mapping[str, Array]:
        """Input name to array with the samples ``indices`` on axis 0."""
        ...


@dataclass(frozen=True, eq=False)
class Collected:
    """What one pass found.

    Attributes:
        parts: Histograms per part and tensor.
        bounds: ``bounds[p]`` samples lie in the parts up to and with ``p``.
        integral: Per tensor: whether it is fed from outside and held whole numbers only.
        masked: Tensor to its smallest finite value where masked values count as something else (see ``masks``).
        masks: Constant to what its masked values count as.
    """

    parts: tuple[tuple[Histogram, ...], ...]
    bounds: tuple[int, ...]
    integral: tuple[bool, ...]
    masked: Mapping[int, float] = field(default_factory=dict)
    masks: Mapping[int, float] = field(default_factory=dict)

    def at(self, n_samples: int) -> tuple[Histogram, ...]:
        """Histograms of the first ``n_samples`` samples.

        Raises:
            ValueError: If the count is not one of ``bounds``.
        """
        if n_samples not in self.bounds:
            raise ValueError(f"Histograms are kept for {self.bounds} samples, not for {n_samples}.")
        last = self.bounds.index(n_samples)
        return tuple(
            running_merges([part[t] for part in self.parts[: last + 1]])[-1] for t in range(len(self.parts[0]))
        )

    def to_arrays(self) -> dict[str, Array]:
        """Return what ``from_arrays`` reads, beside ``bounds`` and ``integral``.

        ``headers`` float64 ``[parts, tensors, 7]``, ``sizes`` int64 ``[parts, tensors]``, ``counts`` int64: all
        histograms in a row; few arrays, since an archive costs time per array.
        """
        made = [[histogram.to_arrays() for histogram in part] for part in self.parts]
        return {
            "headers": np.array([[one["header"] for one in part] for part in made]),
            "sizes": np.array([[one["counts"].size for one in part] for part in made], np.int64),
            "counts": np.concatenate([one["counts"] for part in made for one in part]),
            "masked": pairs_to_array(self.masked),
            "masks": pairs_to_array(self.masks),
        }

    @staticmethod
    def from_arrays(arrays: Mapping[str, Array], *, bounds: Sequence[int], integral: Sequence[bool]) -> Collected:
        """Read what ``to_arrays`` wrote.

        Raises:
            ValueError: If the arrays do not fit together.
        """
        headers, sizes = arrays["headers"], arrays["sizes"]
        stretches = np.split(arrays["counts"], np.cumsum(sizes.ravel())[:-1])
        if headers.shape[:2] != sizes.shape or sizes.shape != (len(bounds), len(integral)):
            raise ValueError(
                f"Stored histograms {sizes.shape} do not fit {len(bounds)} parts of {len(integral)} tensors."
            )
        made = [
            Histogram.from_arrays({"header": header, "counts": counts})
            for header, counts in zip(headers.reshape(-1, headers.shape[-1]), stretches, strict=True)
        ]
        parts = tuple(tuple(made[p * len(integral) : (p + 1) * len(integral)]) for p in range(len(bounds)))
        masked, masks = (pairs_from_array(arrays[name]) for name in ("masked", "masks"))
        return Collected(parts, tuple(bounds), tuple(integral), masked, masks)


def part_bounds(n_samples: int) -> tuple[int, ...]:
    """A quarter, a half and all of the samples, as far as these differ."""
    return tuple(sorted({max(1, n_samples // 4), max(1, n_samples // 2), n_samples}))


def collect(
    model: onnx.ModelProto,
    network: Network,
    samples: Samples,
    *,
    n_samples: int,
    feeding: Feeding,
    threads: int,
    bounds: Sequence[int] | None = None,
) -> Collected:
    """Run the float model over the first ``n_samples`` samples and count every tensor's values.

    Args:
        model: The prepared float model.
        network: Its tensors.
        samples: Calibration data.
        n_samples: How many of it.
        feeding: Samples per run.
        threads: Intra-op threads.
        bounds: Sample counts that ``Collected.at`` can answer, ascending, the last one ``n_samples``; by default those
            of ``part_bounds``.
    """
    names = [tensor.name for tensor in network.tensors]
    softmaxes = masked_softmaxes(model, network)
    beside = Masks(softmaxes).values
    given = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer if one.name in beside}
    computed = [name for name in beside if name not in given]
    session = Session(with_outputs(model, [*names, *computed]), level=Level.DEPLOYED, threads=threads)
    feeding = bounded(feeding, network)
    bounds = part_bounds(n_samples) if bounds is None else tuple(bounds)
    counter = _Counter(network, session, softmaxes, given)
    parts = []
    lowest: dict[int, float] = {}
    masks: dict[int, float] = {}
    for start, end in zip((0, *bounds), bounds, strict=False):
        counter.begin()
        for indices, fresh in feeding.slices(np.arange(start, end)):
            counter.count(samples.batch(indices), len(indices), fresh)
        parts.append(counter.part())
        _keep_smallest(lowest, counter.masks.lowest)
        _keep_smallest(masks, counter.masks.constants)
    return Collected(tuple(parts), bounds, tuple(name in counter.integral for name in names), lowest, masks)


def _keep_smallest(kept: dict[int, float], found: Mapping[int, float]) -> None:
    for key, value in found.items():
        kept[key] = min(value, kept.get(key, value))


class _Counter:
    """Counts the tensors of run after run."""

    def __init__(
        self,
        network: Network,
        session: Session,
        softmaxes: Sequence[MaskedSoftmax],
        constants: Mapping[str, Array],
    ) -> None:
        self._names = [tensor.name for tensor in network.tensors]
        self._session = session
        self._computed = [name for name in self._names if name in session.outputs]
        self._fed = [name for name in self._names if name not in session.outputs]
        # No group writes these: they follow from shapes alone, or are integers brought to float.
        self._given = {tensor.name for tensor in network.tensors if tensor.writer is None}
        self._static = self._given - set(session.inputs)
        self._last: dict[str, Array] = {}
        self._softmaxes = {one.scores: one for one in softmaxes}
        self._operands = {operand.tensor for one in softmaxes for operand in one.operands}
        self._constants = constants
        self._beside = [name for name in Masks(softmaxes).values if name in session.outputs]
        self.integral = set(self._given)
        self.begin()

    def begin(self) -> None:
        """Start a part."""
        self.masks = Masks(tuple(self._softmaxes.values()))
        self._histograms = [Histogram() for _ in self._names]

    def part(self) -> tuple[Histogram, ...]:
        """Return what the part holds, per tensor."""
        for tensor in self.masks.n_masked:
            for values in self.masks.rest(tensor):
                self._histograms[tensor].update(values)
        return tuple(self._histograms)

    def count(self, feeds: Mapping[str, Array], batch: int, fresh: int) -> None:
        """Run once and count the first ``fresh`` of ``batch`` samples."""
        values = self._session.run(feeds, list(dict.fromkeys([*self._computed, *self._beside])))
        values.update({name: feeds[name] for name in self._fed})
        for t, softmax in self._softmaxes.items():
            self.masks.look(softmax, {**self._constants, **feeds, **values}, values[self._names[t]])
        for t, name in enumerate(self._names):
            value = values[name]
            if name in self._static and self._is_unchanged(name, value):
                continue  # it has no samples: counted once, however many runs there are
            part = np.ascontiguousarray(fresh_part(value, batch, fresh), dtype=np.float32)
            self._histograms[t].update(self._unmasked(t, part))
            if name in self.integral and not np.array_equal(np.rint(part), part):
                self.integral.discard(name)

    def _unmasked(self, tensor: int, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if tensor in self._softmaxes:
            return self.masks.scores(tensor, values, self._softmaxes[tensor].axis)
        return self.masks.operand(tensor, values) if tensor in self._operands else values

    def _is_unchanged(self, name: str, value: Array) -> bool:
        same = name in self._last and np.array_equal(self._last[name], value, equal_nan=True)
        self._last[name] = value
        return same


def fresh_part(value: Array, batch: int, fresh: int) -> Array:
    """Return what belongs to the first ``fresh`` of ``batch`` samples.

    Samples lie on axis 0, ``size / batch`` rows each, or else on the first axis of size ``batch``; a value without
    either belongs to all of them.
    """
    if fresh == batch:
        return value
    if value.ndim and value.shape[0] and value.shape[0] % batch == 0:
        return value[: value.shape[0] // batch * fresh]
    axis = next((i for i, size in enumerate(value.shape) if size == batch), None)
    return value if axis is None else np.take(value, range(fresh), axis=axis)


def with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """Return a copy of ``model`` that also gives the values ``names`` or has parts of (model inputs are left out)."""
    inputs = {value.name for value in model.graph.input}
    have = {value.name for value in model.graph.output}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(
        onnx.ValueInfoProto(name=name) for name in outputs_of_parts(names) if name not in have | inputs
    )
    return copy


def bounded(feeding: Feeding, network: Network, max_bytes: int = MAX_RUN_BYTES) -> Feeding:
    """The feeding with a batch small enough that all tensors of one run fit into ``max_bytes``."""
    per_sample = 4 * sum(tensor.elements for tensor in network.tensors)
    if feeding.fixed:
        return feeding
    return replace(feeding, batch=int(np.clip(max_bytes // max(1, per_sample), 1, feeding.batch)))
