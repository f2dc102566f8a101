"""Samples that a program holds, written to files once: the search reads files, so that they need not fit in memory.

    <folder>/<input or label>/<n>.npy     one file per sample, without an axis for the batch

What a batch has as a list of arrays, one per sample, may differ in size from sample to sample: boxes, transcripts.

The digest of such a folder is that of its content, so the same samples go on with the same run.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from search.errors import InvalidDataError, UsageError

DEFAULT_MAX_BYTES = 20 * 2**30
Rows = npt.NDArray[np.generic] | list[npt.NDArray[np.generic]]
"""Samples of one batch on axis 0, or one array each."""
Batch = Mapping[str, npt.ArrayLike | Sequence[npt.ArrayLike]] | Sequence[npt.ArrayLike | Sequence[npt.ArrayLike]]


class Samples:
    """A set of samples in files of its own, which go when the object goes.

    Attributes:
        folder: Where they lie.
        n_samples: How many.
        names: Model inputs and label arrays, in the order they were given.
    """

    def __init__(self, folder: Path, n_samples: int, names: tuple[str, ...]) -> None:
        self.folder = folder
        self.n_samples = n_samples
        self.names = names
        self._end = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def __len__(self) -> int:
        """Return the number of samples."""
        return self.n_samples

    def __repr__(self) -> str:
        return f"Samples({self.n_samples} of {', '.join(self.names)})"

    @classmethod
    def from_arrays(cls, **arrays: npt.ArrayLike) -> Samples:
        """Take arrays by name: model inputs, and labels under any other name (``labels`` by default in a goal).

        Args:
            arrays: Each with samples on axis 0.

        Raises:
            InvalidDataError: If they do not have the same number of samples, or have none.
        """
        return cls.from_iterable([arrays])

    @classmethod
    def from_iterable(
        cls, batches: Iterable[Batch], *, names: Sequence[str] | None = None, max_bytes: int = DEFAULT_MAX_BYTES
    ) -> Samples:
        """Take what an iterable yields, batch by batch: a torch DataLoader, a tf.data set, a generator.

        Args:
            batches: Each a mapping from name to array, or a sequence of arrays in the order of ``names``; samples on
                axis 0, or a list of one array per sample where they differ in size. It is gone through once.
            names: For sequences: the names of their arrays.
            max_bytes: Most bytes of samples to write.

        Raises:
            InvalidDataError: If a batch changes names, types or the shape of a sample, has arrays of different length,
                is too large for the limit, or nothing was yielded; names the batch.
            UsageError: If sequences come without ``names``.
        """
        writer = _Writer(Path(tempfile.mkdtemp(prefix="bitbudget-samples-")), max_bytes)
        try:
            for number, batch in enumerate(batches):
                writer.add(_named(batch, names, number), number)
            return writer.samples()
        except BaseException:
            shutil.rmtree(writer.folder, ignore_errors=True)
            raise

    from_loader = from_iterable


def _named(batch: Batch, names: Sequence[str] | None, number: int) -> dict[str, Rows]:
    if isinstance(batch, Mapping):
        return {str(name): _rows(values, str(name), number) for name, values in batch.items()}
    if names is None:
        raise UsageError("Batches that are sequences need names=[...]: the model input or label of each array.")
    if not isinstance(batch, Sequence) or len(batch) != len(names):
        got = len(batch) if isinstance(batch, Sequence) else f"a {type(batch).__name__}"
        raise InvalidDataError(f"Batch {number} has {got} arrays, but names has {len(names)}: {', '.join(names)}.")
    return {name: _rows(values, name, number) for name, values in zip(names, batch, strict=True)}


def _rows(values: object, name: str, number: int) -> Rows:
    """One array with the samples on axis 0; a list of arrays where they differ in size.

    Raises:
        InvalidDataError: If they are neither.
    """
    if isinstance(values, list | tuple) and values and all(_has_axes(one) for one in values):
        return [np.asarray(one) for one in values]
    try:
        found = np.asarray(values)
    except ValueError:
        raise InvalidDataError(
            f"Batch {number}: {name!r} is neither an array nor a list of one array per sample."
        ) from None
    return [np.asarray(one) for one in found] if found.dtype == np.object_ and found.ndim == 1 else found


def _has_axes(value: object) -> bool:
    return isinstance(value, list | tuple) or bool(getattr(value, "ndim", 0))


@dataclass(frozen=True)
class _Layout:
    """Type and shape of one sample; of samples that differ in size the number of axes alone."""

    dtype: np.dtype[np.generic]
    shape: tuple[int, ...] | None
    n_axes: int

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.dtype} of any size with {self.n_axes} axes"
        return f"{self.dtype} of shape {list(self.shape)}"


class _Writer:
    """Writes batches sample by sample and holds every one against the first."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._n = 0
        self._layout: dict[str, _Layout] = {}

    def add(self, batch: Mapping[str, Rows], number: int) -> None:
        """Write one batch."""
        n = self._checked(batch, number)
        self._n_bytes += sum(row.nbytes for values in batch.values() for row in values)
        if self._n_bytes > self._max_bytes:
            raise InvalidDataError(
                f"Batch {number} brings the samples to {self._n_bytes:,} bytes; max_bytes is {self._max_bytes:,}. "
                "Take fewer samples, or raise it."
            )
        for name, values in batch.items():
            (self.folder / name).mkdir(parents=True, exist_ok=True)
            for row in range(n):
                np.save(self.folder / name / f"{self._n + row}.npy", values[row], allow_pickle=False)
        self._n += n

    def _checked(self, batch: Mapping[str, Rows], number: int) -> int:
        lengths = {
            name: len(values) if isinstance(values, list) or values.ndim else -1 for name, values in batch.items()
        }
        if not lengths or len(set(lengths.values())) != 1 or -1 in lengths.values():
            told = ", ".join(f"{name} {'has no axis' if n < 0 else n}" for name, n in lengths.items()) or "no array"
            raise InvalidDataError(f"Batch {number}: all arrays need the same number of samples on axis 0; got {told}.")
        layout = {name: _layout(values, name, number) for name, values in batch.items()}
        self._layout = self._layout or self._new(layout)
        for name in sorted({*layout, *self._layout}):
            if layout.get(name) != self._layout.get(name):
                raise InvalidDataError(
                    f"Batch {number}: {name!r} is {layout.get(name, 'missing')}, but in batch 0 it was "
                    f"{self._layout.get(name, 'missing')}. Every sample needs the same type and shape; what may differ "
                    "in size comes as a list of one array per sample, in every batch."
                )
        return next(iter(lengths.values()))

    def _new(self, layout: dict[str, _Layout]) -> dict[str, _Layout]:
        for name, one in layout.items():
            if one.dtype.hasobject or one.dtype.kind not in "biuf":
                raise InvalidDataError(f"{name!r} has type {one.dtype}; samples are arrays of numbers.")
            parts = name.split("/")
            if {"", ".", ".."}.intersection(parts) or "\0" in name:
                raise InvalidDataError(f"{name!r} cannot be the name of a folder; samples are kept in one per array.")
        return layout

    def samples(self) -> Samples:
        """Return what was written."""
        if self._n == 0:
            raise InvalidDataError("There are no samples: nothing was yielded.")
        return Samples(self.folder, self._n, tuple(self._layout))


def _layout(values: Rows, name: str, number: int) -> _Layout:
    if not isinstance(values, list):
        return _Layout(values.dtype, values.shape[1:], values.ndim - 1)
    kinds = {(row.dtype, row.ndim) for row in values}
    if len(kinds) != 1:
        told = " and ".join(sorted(f"{dtype} with {n_axes} axes" for dtype, n_axes in kinds))
        raise InvalidDataError(
            f"Batch {number}: the arrays of {name!r} are {told}. They may differ in size, not in type or axes."
        )
    ((dtype, n_axes),) = kinds
    return _Layout(dtype, None, n_axes)
