"""Samples held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from search.arrays import Array
from search.data.source import Indices, SampleLayout, index_list


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Samples and labels as whole arrays with the sample on axis 0.

    Attributes:
        name: What the user knows the set by.
        arrays: Per model input, all samples; the same number in each.
        label_arrays: Per label key; the length is checked by ``check_labels``, not here.
        digest: SHA-256 of the content.
    """

    name: str
    arrays: Mapping[str, Array]
    digest: str
    label_arrays: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(array) for array in self.arrays.values()}
        if len(lengths) != 1:
            raise ValueError(f"Inputs must have one common number of samples, got {sorted(lengths)}.")

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(next(iter(self.arrays.values())))

    @cached_property
    def layout(self) -> dict[str, SampleLayout]:
        """Type and shape of one sample, per input."""
        return {name: SampleLayout(array.dtype, array.shape[1:]) for name, array in self.arrays.items()}

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        return tuple(self.label_arrays)

    def batch(self, indices: Indices) -> dict[str, Array]:
        """Return the inputs of these samples; a slice gives views, not copies."""
        if isinstance(indices, slice):
            return {name: array[indices] for name, array in self.arrays.items()}
        numbers = index_list(indices, self.n_samples)
        return {name: np.take(array, numbers, axis=0) for name, array in self.arrays.items()}

    def labels(self, key: str) -> Array:
        """Return all labels under ``key``."""
        return self.label_arrays[key]
