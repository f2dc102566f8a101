"""Batches written sample by sample, each held against the first: what changes is named, nothing is guessed.

<folder>/<input or label>/<n>.npy     one file per sample, without an axis for the batch
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from search.errors import InvalidDataError, UsageError

Rows = npt.NDArray[np.generic] | list[npt.NDArray[np.generic]]
"""Samples of one batch on axis 0, or one array each."""
Batch = Mapping[str, npt.ArrayLike | Sequence[npt.ArrayLike]] | Sequence[npt.ArrayLike | Sequence[npt.ArrayLike]]


def numbered(batches: Iterable[Batch]) -> Iterator[tuple[int, Batch]]:
    """Yield what an iterable yields with its number; its own errors and an early end are named.

    Raises:
        InvalidDataError: If it raises, yields fewer batches than its length says, or cannot be gone through.
    """
    try:
        iterator = iter(batches)
    except TypeError:
        raise UsageError(
            f"Samples come from something that yields batches, not from a {type(batches).__name__}."
        ) from None
    number = 0
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            break
        except Exception as error:  # noqa: BLE001  code of the user's own may raise anything
            raise InvalidDataError(f"Batch {number}: the loader raised {type(error).__name__}: {error}") from None
        yield number, batch
        number += 1
    promised = _length(batches)
    if promised is not None and number < promised:
        raise InvalidDataError(
            f"The loader ended after {number} batches, but its length is {promised}. Look for the samples it left out."
        )


def check_repeats(batches: Iterable[Batch], first: Mapping[str, Rows], names: Sequence[str] | None) -> None:
    """Go through the first batch again, where that is possible, and refuse a loader that yields another one.

    Args:
        batches: What was gone through.
        first: Its first batch.
        names: As for ``named``.

    Raises:
        InvalidDataError: Names the array that differs.
    """
    if not first or iter(batches) is batches:
        return  # it is empty, or gone through once and for all
    again = named(next(iter(batches)), names, 0)
    for name, rows in first.items():
        if not _equal(rows, again[name]):
            raise InvalidDataError(
                f"The loader is random: its first batch has other {name!r} on a second pass. Calibration and "
                "evaluation need fixed samples: no shuffling (shuffle=False) and no random augmentation."
            )


def _length(batches: object) -> int | None:
    try:
        return len(batches)  # type: ignore[arg-type]  # that is what is tried
    except TypeError:
        return None


def _equal(one: Rows, two: Rows) -> bool:
    if len(one) != len(two):
        return False
    return all(
        a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
        for a, b in zip(map(np.asarray, one), map(np.asarray, two), strict=True)
    )


def named(batch: Batch, names: Sequence[str] | None, number: int) -> dict[str, Rows]:
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
    except (ValueError, TypeError, RuntimeError):
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


class Writer:
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

    def finish(self) -> tuple[int, tuple[str, ...]]:
        """Return how many samples were written, and of which arrays.

        Raises:
            InvalidDataError: If there are none.
        """
        if self._n == 0:
            raise InvalidDataError("There are no samples: nothing was yielded.")
        return self._n, tuple(self._layout)


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
