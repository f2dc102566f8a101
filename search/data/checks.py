"""Whether values and labels can be used: finite inputs, as many labels as samples, classes that exist."""

from __future__ import annotations

import numpy as np

from search.arrays import Array
from search.data.fed import Fed
from search.data.source import SampleSource
from search.errors import InvalidDataError

_BATCH_BYTES = 16 * 2**20


def check_finite(source: SampleSource) -> None:
    """Read every sample once, a few at a time, and refuse NaN and infinity.

    Raises:
        InvalidDataError: Names the input, how many samples are affected, and the first; also if a file is damaged.
    """
    step = batch_size(source)
    bad: dict[str, list[int]] = {name: [] for name in source.layout}
    for start in range(0, source.n_samples, step):
        for name, array in source.batch(slice(start, start + step)).items():
            bad[name].extend(start + row for row in _rows_not_finite(array))
    for name, rows in bad.items():
        if rows:
            raise InvalidDataError(
                f"{source.name}: {name!r} holds NaN or infinity in {len(rows)} of {source.n_samples} samples, "
                f"first in sample {rows[0]}. "
                f"Correct or remove them."
            )


def check_shared(samples: Fed) -> None:
    """Refuse NaN and infinity in values that all samples share.

    Raises:
        InvalidDataError: Names the input.
    """
    for name, array in samples.shared.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidDataError(f"{samples.name}: {name!r} holds NaN or infinity. Correct it.")


def batch_size(source: SampleSource, n_bytes: int = _BATCH_BYTES) -> int:
    """Return how many samples take about ``n_bytes``, at least 1; 1 where they differ in size."""
    if any(size is None for sample in source.layout.values() for size in sample.shape):
        return 1
    per_sample = sum(
        sample.dtype.itemsize * int(np.prod([size or 0 for size in sample.shape], dtype=np.int64))
        for sample in source.layout.values()
    )
    return max(1, n_bytes // max(1, per_sample))


def _rows_not_finite(array: Array) -> list[int]:
    if array.dtype.kind != "f":
        return []
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return [int(row) for row in np.flatnonzero(~finite)]
