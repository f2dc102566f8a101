"""A metric from (outputs, labels) to one number per sample, whose mean is the value: what an ONNX graph computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.errors import InvalidDataError, UsageError
from search.metrics.metric import Metric
from search.metrics.reductions import Direction, MeanOf

PerSample = Callable[[Array, Array | None], Array]


class MetricFailedError(InvalidDataError):
    """A metric of the user's own failed; what was computed until then is kept.

    Attributes:
        row: Which of the samples it was given; None where it is none of them.
    """

    def __init__(self, message: str, row: int | None) -> None:
        super().__init__(message, row)
        self.row = row

    def __str__(self) -> str:
        return str(self.args[0])


def per_sample_metric(
    name: str, function: PerSample, *, direction: Direction = "higher", needs_labels: bool = True
) -> Metric:
    """Return the metric ``mean(function(outputs, labels))``.

    Args:
        name: How the result calls it.
        function: Returns one real number per sample, ``[n]`` or ``[n, 1]``.
        direction: Which way is better.
        needs_labels: Whether labels must be there.
    """

    def entries(outputs: Array, reference: Array, labels: Array | None) -> npt.NDArray[np.float32]:
        return _checked(name, np.asarray(function(outputs, labels)), len(outputs))

    return Metric(
        name=name,
        direction=direction,
        needs_labels=needs_labels,
        is_fidelity=False,
        entries=entries,
        reduction=MeanOf(best=None),
    )


def _checked(name: str, values: Array, n: int) -> npt.NDArray[np.float32]:
    if values.shape not in ((n,), (n, 1)) or values.dtype.kind not in "biuf":
        raise UsageError(
            f"Custom metric {name!r} gave {values.dtype} of shape {values.shape} for {n} samples; "
            f"it must give one real number per sample, shape ({n},)."
        )
    with np.errstate(over="ignore"):
        return values.reshape(n).astype(np.float32)
