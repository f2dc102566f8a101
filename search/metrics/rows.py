"""Row-wise float64 arithmetic whose result for a sample never depends on the samples around it.

Every sample is flattened to one C-contiguous float64 row and reduced along that row alone, so splitting a
set into other ranges changes no bit. Large outputs are handled a few rows at a time to bound memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.errors import InvalidDataError

Rows = npt.NDArray[np.float64]
Values = npt.NDArray[np.float32]

_CHUNK_ELEMENTS = 1 << 14  # temporaries of a chunk stay in the cache: ten times faster than whole arrays


def per_row(
    function: Callable[[Rows, Rows], npt.NDArray[np.float64]],
    outputs: Array,
    reference: Array,
) -> Values:
    """Apply ``function`` to flattened rows and return its results as float32.

    Args:
        function: ``[n, d], [n, d] -> [n]`` or ``[n, k]``, each row from its own rows only.
        outputs: ``[n, ...]``, any real dtype.
        reference: Same number of elements per sample as ``outputs``; otherwise shapes may differ by axes of length 1.

    Returns:
        float32 ``[n]`` or ``[n, k]``; NaN or infinity where a row is not finite or the result exceeds float32.

    Raises:
        InvalidDataError: If the two shapes do not match, or samples have no elements.
    """
    if outputs.shape != reference.shape and squeezed(outputs.shape) != squeezed(reference.shape):
        raise InvalidDataError(
            f"Outputs have shape {outputs.shape}, but what they are compared with has shape {reference.shape}; "
            "they must agree but for axes of length 1."
        )
    n, width = len(outputs), math.prod(outputs.shape[1:])
    if width == 0:
        raise InvalidDataError(f"Outputs of shape {outputs.shape} have no elements to compare.")
    step = max(1, _CHUNK_ELEMENTS // width)
    with np.errstate(all="ignore"):
        if n <= step:
            return function(_flat(outputs, width), _flat(reference, width)).astype(np.float32)
        pieces = [
            function(_flat(outputs[i : i + step], width), _flat(reference[i : i + step], width)).astype(np.float32)
            for i in range(0, n, step)
        ]
        return np.concatenate(pieces)


def row_sums(rows: Rows) -> npt.NDArray[np.float64]:
    """Return the sum of each row of a C-contiguous ``[n, d]`` array, pairwise along the row."""
    sums: npt.NDArray[np.float64] = np.add.reduce(rows, axis=1)
    return sums


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes of one sample that are longer than 1, after the sample axis itself."""
    return (shape[0], *(size for size in shape[1:] if size != 1))


def _flat(array: Array, width: int) -> Rows:
    return np.ascontiguousarray(array.reshape(len(array), width), np.float64)
