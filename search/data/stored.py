"""A data set as it is stored, before it is known how its arrays are read as samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from search.arrays import Array, DType
from search.data.arrays import ArraySource
from search.data.fed import Fed
from search.data.forms import Form, Sizes
from search.data.source import SampleSource


class Stored(Protocol):
    """What is stored for each model input, and the reading of it."""

    @property
    def name(self) -> str:
        """What the user knows the set by."""
        ...

    @property
    def shapes(self) -> Mapping[str, Sizes]:
        """Model input to the shape of what is stored; None is a size that differs from sample to sample."""
        ...

    @property
    def dtypes(self) -> Mapping[str, DType]:
        """Model input to the element type of what is stored."""
        ...

    @property
    def label_counts(self) -> frozenset[int]:
        """Lengths of the label arrays, where they are known without reading."""
        ...

    def array(self, name: str) -> Array | None:
        """The whole array of an input; None where samples lie in files of their own."""
        ...

    def read(self, forms: Mapping[str, Form], given: Mapping[str, Array]) -> Fed:
        """Return the samples in the form the model takes.

        Args:
            forms: How to read each input.
            given: Inputs whose value the job gives.
        """
        ...


@dataclass(frozen=True, eq=False)
class StoredArrays:
    """Whole arrays, as in a ``.npz``: any axis may hold the samples.

    Attributes:
        name: What the user knows the set by.
        arrays: Per model input.
        digest: SHA-256 of the content.
        labels: Per label key.
    """

    name: str
    arrays: Mapping[str, Array]
    digest: str
    labels: Mapping[str, Array]

    @property
    def shapes(self) -> dict[str, Sizes]:
        """Shape of every array."""
        return {name: array.shape for name, array in self.arrays.items()}

    @property
    def dtypes(self) -> dict[str, DType]:
        """Element type of every array."""
        return {name: array.dtype for name, array in self.arrays.items()}

    @property
    def label_counts(self) -> frozenset[int]:
        """Lengths of the label arrays."""
        return frozenset(len(array) for array in self.labels.values() if array.ndim)

    def array(self, name: str) -> Array | None:
        """The array of an input."""
        return self.arrays[name]

    def read(self, forms: Mapping[str, Form], given: Mapping[str, Array]) -> Fed:
        """Return the samples in the form the model takes; views of the arrays where possible."""
        arranged = {name: forms[name].arrange(array) for name, array in self.arrays.items() if name in forms}
        varying = {name: array for name, array in arranged.items() if not forms[name].layout.constant}
        shared = {name: array for name, array in arranged.items() if forms[name].layout.constant}
        block = max((form.block for form in forms.values() if not form.layout.constant), default=0)
        labels = {key: _in_blocks(array, block) for key, array in self.labels.items()} if block else self.labels
        source = ArraySource(self.name, varying, self.digest, labels)
        return Fed(source, {name: form.layout for name, form in forms.items()}, {**shared, **given})


@dataclass(frozen=True, eq=False)
class StoredRows:
    """One file per sample: what varies has the sample on axis 0."""

    source: SampleSource
    shared: Mapping[str, Array]

    @property
    def name(self) -> str:
        """What the user knows the set by."""
        return self.source.name

    @property
    def shapes(self) -> dict[str, Sizes]:
        """Shape of all samples of an input, or of the value they share."""
        rows = {name: (self.source.n_samples, *sample.shape) for name, sample in self.source.layout.items()}
        return {**rows, **{name: array.shape for name, array in self.shared.items()}}

    @property
    def dtypes(self) -> dict[str, DType]:
        """Element type of every input."""
        rows = {name: sample.dtype for name, sample in self.source.layout.items()}
        return {**rows, **{name: array.dtype for name, array in self.shared.items()}}

    @property
    def label_counts(self) -> frozenset[int]:
        """Nothing: labels are read when they are asked for."""
        return frozenset()

    def array(self, name: str) -> Array | None:
        """The value that samples share; None for what varies."""
        return self.shared.get(name)

    def read(self, forms: Mapping[str, Form], given: Mapping[str, Array]) -> Fed:
        """Return the samples in the form the model takes."""
        shared = {name: forms[name].arrange(array) for name, array in self.shared.items()}
        drops = {name: form.drop for name, form in forms.items() if form.drop is not None}
        return Fed(self.source, {name: form.layout for name, form in forms.items()}, {**shared, **given}, drops)


def _in_blocks(labels: Array, block: int) -> Array:
    """Labels of ``block`` rows per sample with the sample on axis 0."""
    return labels.reshape(-1, block, *labels.shape[1:]) if labels.ndim and len(labels) % block == 0 else labels
