"""Measuring with the user's own Python metric: what it gives is checked, its faults are told with the sample."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.metrics.custom import MetricFailedError
from search.metrics.metric import Metric
from search.metrics.part import Part, record_array
from search.metrics.reductions import Direction, MeanOf, OfRecords, Reduction, WholeLoop
from search.metrics.user_metric import MAX_RECORD_BYTES, Run, UserMetric

Give = Callable[[Sequence[int]], tuple[dict[str, Array], dict[str, Any]]]
"""From rows of a batch to their outputs and labels."""


def recorded_metric(name: str, user: UserMetric, direction: Direction, *, needs_labels: bool = False) -> Metric:
    """Return the metric that plans and measures with ``user``.

    Args:
        name: How the result calls it.
        user: The metric.
        direction: Which way is better.
        needs_labels: Whether there is one label array that must be there.
    """
    return Metric(
        name=name,
        direction=direction,
        needs_labels=needs_labels,
        is_fidelity=False,
        entries=_never,
        reduction=_reduction(user),
        user=user,
    )


def measure_batch(metric: Metric, n: int, give: Give) -> Part:
    """Return the part of ``n`` samples.

    Args:
        metric: One that has ``per_batch``.
        n: Samples of the batch.
        give: Outputs and labels of some of them.

    Raises:
        MetricFailedError: If it raises, or gives anything but one record per sample; names the first row at fault.
    """
    user = metric.user
    assert user is not None
    assert user.per_batch is not None
    try:
        given = user.per_batch(*give(range(n)))
    except Exception as error:  # noqa: BLE001  code of the user's own may raise anything
        row = _first_failing(user, n, give)
        raise MetricFailedError(f"Metric {metric.name!r} raised {type(error).__name__}: {error}", row) from None
    if user.is_mean:
        return Part(n, values=_numbers(metric.name, given, n))
    return Part(n, values=_records(metric.name, given, n))


def measure_loop(metric: Metric, run: Run | None) -> npt.NDArray[np.float64]:
    """Return the sums of a whole loop, ``[1, 2]``: of all samples where it runs, zeros for a range where it does not.

    Raises:
        MetricFailedError: If it raises, or gives no finite number.
    """
    if run is None:
        return np.zeros((1, 2), np.float64)
    assert metric.user is not None
    assert metric.user.evaluate is not None
    try:
        value = metric.user.evaluate(run)
    except Exception as error:  # noqa: BLE001  code of the user's own may raise anything
        raise MetricFailedError(f"Metric {metric.name!r} raised {type(error).__name__}: {error}.", None) from None
    if isinstance(value, bool) or not _is_number(value) or not math.isfinite(value):
        raise MetricFailedError(f"Metric {metric.name!r} gave {_shown(value)}, not a finite number.", None)
    return np.array([[float(value), 1.0]])


def checked_value(metric: Metric, parts: Sequence[Part]) -> None:
    """Refuse a metric that gives no value for all samples.

    Raises:
        MetricFailedError: Says what ``value`` did.
    """
    if isinstance(metric.reduction, OfRecords):
        found = metric.result(parts)
        if found.value is None:
            raise MetricFailedError(f"Metric {metric.name!r}: {found.reason}", None)


def _reduction(user: UserMetric) -> Reduction:
    if user.evaluate is not None:
        return WholeLoop()
    return MeanOf(best=user.best) if user.value is None else OfRecords(user.value)


def _never(outputs: Array, reference: Array, labels: Array | None) -> Array:
    raise ValueError("A metric of the user's own is measured by search.metrics.recorded.")


def _numbers(name: str, given: Any, n: int) -> npt.NDArray[np.float32]:
    """One finite number per sample.

    Raises:
        MetricFailedError: If they are not.
    """
    try:
        values = np.asarray(given)
    except ValueError:  # lists of unequal length
        values = record_array(list(given))
    if values.shape not in ((n,), (n, 1)) or values.dtype.kind not in "biuf":
        raise MetricFailedError(
            f"Metric {name!r} gave {_told(given, values)} for {n} samples; without value() it must give one real "
            f"number per sample, shape [{n}]",
            0,
        )
    flat = values.reshape(n)
    with np.errstate(over="ignore"):
        numbers = flat.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if wrong.size:
        row = int(wrong[0])
        raise MetricFailedError(f"Metric {name!r} gave {flat[row]}, not a finite number of float32", row)
    return numbers


def _records(name: str, given: Any, n: int) -> npt.NDArray[np.object_]:
    """One record per sample, as JSON reads it back.

    Raises:
        MetricFailedError: If there are not as many, or one is no JSON, holds NaN, or is too large.
    """
    if isinstance(given, str | bytes | Mapping) or not hasattr(given, "__len__"):
        raise MetricFailedError(f"Metric {name!r} gave a {type(given).__name__}; it must give a list of {n} records", 0)
    if len(given) != n:
        raise MetricFailedError(f"Metric {name!r} gave {len(given)} records for {n} samples", min(len(given), n - 1))
    return record_array([_record(name, record, row) for row, record in enumerate(given)])


def _record(name: str, record: Any, row: int) -> Any:
    try:
        text = json.dumps(record, default=_plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        why = "holds NaN or infinity" if "JSON compliant" in str(error) else f"is no JSON ({error})"
        raise MetricFailedError(f"Metric {name!r} gave a record that {why}: {_shown(record)}", row) from None
    if len(text) > MAX_RECORD_BYTES:
        raise MetricFailedError(
            f"Metric {name!r} gave a record of {len(text):,} bytes as JSON; {MAX_RECORD_BYTES:,} are allowed. Keep "
            "what value() needs (counts, matches, scores), not the outputs",
            row,
        )
    return json.loads(text)


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays, and arrays of anything that can become one, as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    raise TypeError(f"a {type(value).__name__}")


def _first_failing(user: UserMetric, n: int, give: Give) -> int:
    """Row of the first sample that fails alone; 0 where only the batch does."""
    assert user.per_batch is not None
    for row in range(n):
        try:
            user.per_batch(*give([row]))
        except Exception:  # noqa: BLE001  that is what is looked for
            return row
    return 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) or (
        isinstance(value, np.ndarray) and value.shape == () and value.dtype.kind in "iuf"
    )


def _told(given: Any, values: Array) -> str:
    """What was given, for a message."""
    if values.dtype == np.object_:
        return "lists of unequal length" if values.ndim else f"a {type(given).__name__}"
    return f"{values.dtype} of shape {list(values.shape)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
