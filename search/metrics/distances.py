"""Per-sample distances between outputs and what they should be; labels or float outputs, elementwise.

    mean_error        mean |e|                      l1 (against float), mae (against labels)
    root_mean_square  sqrt(mean e^2)                rmse
    largest_error     max |e|                       atol
    cosine            x.y / sqrt(x.x * y.y)         cosine; two zero vectors 1, one zero vector 0
    norms             sqrt(sum x^2), sqrt(sum e^2)  sqnr_db

Sums run in float64; results are rounded once to float32. Norms are stored instead of squares because squares
of float32 values leave the range of float32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.metrics.rows import Rows, Values, per_row, row_sums


def mean_error(outputs: Array, reference: Array) -> Values:
    """Return mean ``|e|`` of each sample, ``[n]``."""
    return per_row(_mean_abs, outputs, reference)


def root_mean_square(outputs: Array, reference: Array) -> Values:
    """Return ``sqrt(mean e^2)`` of each sample, ``[n]``."""
    return per_row(_root_mean_square, outputs, reference)


def largest_error(outputs: Array, reference: Array) -> Values:
    """Return ``max |e|`` of each sample, ``[n]``."""
    return per_row(_largest, outputs, reference)


def cosine(outputs: Array, reference: Array) -> Values:
    """Return the cosine of each flattened sample with its reference, ``[n]`` in ``[-1, 1]``."""
    return per_row(cosine_rows, outputs, reference)


def norms(outputs: Array, reference: Array) -> Values:
    """Return the norm of the reference and of the error of each sample, ``[n, 2]``."""
    return per_row(_norms, outputs, reference)


def cosine_rows(x: Rows, y: Rows) -> npt.NDArray[np.float64]:
    """Return the cosine of each pair of rows in float64; exactly 1 for equal rows, NaN where a row is not finite."""
    xx, yy = row_sums(x * x), row_sums(y * y)
    norm = np.sqrt(xx * yy)  # sqrt(a*a) == a in IEEE arithmetic, so equal rows give exactly 1
    both_zero = np.where(xx == yy, 1.0, 0.0)
    cosines = np.where(norm == 0, both_zero, row_sums(x * y) / norm)
    bounded: npt.NDArray[np.float64] = np.minimum(np.maximum(cosines, -1.0), 1.0)
    return bounded


def _mean_abs(x: Rows, y: Rows) -> npt.NDArray[np.float64]:
    mean: npt.NDArray[np.float64] = row_sums(np.abs(x - y)) / x.shape[1]
    return mean


def _root_mean_square(x: Rows, y: Rows) -> npt.NDArray[np.float64]:
    error = x - y
    root: npt.NDArray[np.float64] = np.sqrt(row_sums(error * error) / x.shape[1])
    return root


def _largest(x: Rows, y: Rows) -> npt.NDArray[np.float64]:
    largest: npt.NDArray[np.float64] = np.max(np.abs(x - y), axis=1)
    return largest


def _norms(x: Rows, y: Rows) -> npt.NDArray[np.float64]:
    error = x - y
    both: npt.NDArray[np.float64] = np.sqrt(np.stack([row_sums(y * y), row_sums(error * error)], axis=1))
    return both
