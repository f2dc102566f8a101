"""Samples in the form the model takes: types, batch axes, and values that all samples share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from search.arrays import Array
from search.data.layout import InputLayout
from search.data.source import Indices, SampleLayout, SampleSource


@dataclass(frozen=True, eq=False)
class Fed:
    """A source whose ``batch`` gives what a run of the model takes.

    Attributes:
        source: Samples on axis 0, as stored.
        layouts: How samples lie in each model input.
        shared: Inputs that are the same for every sample.
        drops: Per input the axis of size 1 of a stored sample that stands for the batch.
    """

    source: SampleSource
    layouts: Mapping[str, InputLayout]
    shared: Mapping[str, Array]
    drops: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the user knows the set by."""
        return self.source.name

    @property
    def digest(self) -> str:
        """SHA-256 of the content as stored; casts and axes follow from model and job."""
        return self.source.digest

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.source.n_samples

    @property
    def layout(self) -> dict[str, SampleLayout]:
        """Type and shape of one sample of every input, in the model's order."""
        return {name: self._sample(name, one) for name, one in self.layouts.items()}

    @property
    def differs(self) -> bool:
        """Whether samples differ in size."""
        return any(size is None for one in self.layout.values() for size in one.shape)

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return self.source.label_keys

    def batch(self, indices: Indices) -> dict[str, Array]:
        """Return the inputs of a run over these samples, in the model's types."""
        return self.feeds(self.rows(indices))

    def rows(self, indices: Indices) -> dict[str, Array]:
        """Return these samples ``[n, *sample]`` of every input that varies, in the model's types."""
        stored = self.source.batch(indices)
        return {name: self._row(stored[name], one) for name, one in self.layouts.items() if not one.constant}

    def feeds(self, rows: Mapping[str, Array]) -> dict[str, Array]:
        """Bring samples ``[n, *sample]`` into the form that the model takes, with what all samples share."""
        return {
            name: self.shared[name].astype(one.dtype, copy=False) if one.constant else one.feed(rows[name])
            for name, one in self.layouts.items()
        }

    def labels(self, key: str) -> Array:
        """Return all labels under ``key``, as stored."""
        return self.source.labels(key)

    def _row(self, stored: Array, one: InputLayout) -> Array:
        array = stored.astype(one.dtype, copy=False)
        return array if one.name not in self.drops else array.squeeze(self.drops[one.name] + 1)

    def _sample(self, name: str, one: InputLayout) -> SampleLayout:
        if one.constant:
            return SampleLayout(one.dtype, self.shared[name].shape)
        shape, drop = self.source.layout[name].shape, self.drops.get(name)
        return SampleLayout(one.dtype, shape if drop is None else (*shape[:drop], *shape[drop + 1 :]))
