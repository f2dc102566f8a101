"""Per-sample output errors: the order of bad cases and the numbers of a sensitivity table. Larger is worse.

    cosine   1 - x.y / sqrt(x.x * y.y), from 0 (same direction) to 2; two zero vectors 0, one zero vector 1
    l1       mean |e|
    atol     max |e|

A sample that is not finite gets ``NON_FINITE_ERROR`` in all three, a finite number above any real error, so that it
sorts first and a mean over samples stays finite and huge. Real errors are limited to the same number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.metrics import distances
from search.metrics.rows import Rows, Values, per_row, row_sums

NON_FINITE_ERROR = 1e30
ERROR_NAMES = ("cosine", "l1", "atol")


def output_errors(outputs: Array, reference: Array) -> dict[str, Values]:
    """Return the errors of each sample under every name of ``ERROR_NAMES``.

    Args:
        outputs: ``[n, ...]``, any real dtype.
        reference: Float outputs of the same samples, same shape.

    Returns:
        Name to finite float32 ``[n]``, none negative.

    Raises:
        InvalidDataError: If the shapes differ, or samples have no elements.
    """
    found = _finite(per_row(_errors, outputs, reference))
    return {name: np.ascontiguousarray(found[:, i]) for i, name in enumerate(ERROR_NAMES)}


def _errors(x: Rows, y: Rows) -> npt.NDArray[np.float64]:
    """In the order of ``ERROR_NAMES``, from one pass over the rows."""
    error = np.abs(x - y)
    # Subtracted in float64: 1 - cosine of good outputs is far below the step of float32 at 1.
    cosine = 1.0 - distances.cosine_rows(x, y)
    both: npt.NDArray[np.float64] = np.stack([cosine, row_sums(error) / x.shape[1], np.max(error, axis=1)], axis=1)
    return both


def _finite(errors: Values) -> Values:
    bounded = np.nan_to_num(errors, nan=NON_FINITE_ERROR, posinf=NON_FINITE_ERROR, neginf=NON_FINITE_ERROR)
    return np.minimum(bounded, np.float32(NON_FINITE_ERROR))
