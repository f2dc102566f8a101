"""A set of samples: inputs of the model, labels beside them, and a digest of the content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from search.arrays import Array, DType, Integer, Slice

Indices: TypeAlias = "Slice | Sequence[int] | npt.NDArray[Integer]"


@dataclass(frozen=True, slots=True)
class SampleLayout:
    """Element type and shape of one sample of one input; None is a size that differs or is not known yet."""

    dtype: DType
    shape: tuple[int | None, ...]


class SampleSource(Protocol):
    """Samples in a fixed order, read in any order."""

    @property
    def name(self) -> str:
        """What the user knows the set by."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        ...

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        ...

    @property
    def layout(self) -> Mapping[str, SampleLayout]:
        """Type and shape of one sample, per model input."""
        ...

    @property
    def label_keys(self) -> tuple[str, ...]:
        """Names of the label arrays."""
        ...

    def batch(self, indices: Indices) -> dict[str, Array]:
        """Return the inputs of these samples, stacked on axis 0 in the order asked for."""
        ...

    def labels(self, key: str) -> Array:
        """Return the labels of all samples; axis 0 is the sample.

        Raises:
            KeyError: If ``key`` is not one of ``label_keys``.
        """
        ...


def index_list(indices: Indices, n_samples: int) -> npt.NDArray[np.intp]:
    """Return sample numbers as an array.

    Raises:
        IndexError: If one is not in ``[0, n_samples)``.
    """
    if isinstance(indices, slice):
        return np.arange(n_samples, dtype=np.intp)[indices]
    numbers = np.asarray(indices, dtype=np.intp)
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < n_samples):
        raise IndexError(f"Samples are 0 to {n_samples - 1}; got {numbers.min()} to {numbers.max()}.")
    return numbers
