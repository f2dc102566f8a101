"""A metric of the user's own in Python: ``python:package.module:name``, a function of outputs and labels.

    values = name(outputs, labels)      outputs [n, ...], labels [n, ...] or None -> n numbers; the metric is their mean

Its code runs with the rights of the program, so it is run only where the user asked for it on her own machine, never
for a job that came from elsewhere. The source of its module is part of every result's digest.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search.errors import UsageError
from search.metrics.custom import MetricFailedError, per_sample_metric
from search.metrics.metric import Metric
from search.metrics.reductions import Direction

PREFIX = "python:"
Array = npt.NDArray[Any]


def metric_source(name: str) -> Path:
    """Return the file that defines a Python metric.

    Args:
        name: ``python:package.module:name``.

    Raises:
        UsageError: If its module is not found or has no source file.
    """
    module = name.removeprefix(PREFIX).partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a package on the way is missing, or is no package
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise UsageError(
            f"Metric {name!r}: there is no module {module!r} with a source file. Install it, or run where it lies."
        )
    return Path(spec.origin)


def source_digest(path: Path) -> str:
    """Return the SHA-256 of a metric's source file: another text is another question."""
    return hashlib.sha256(b"python metric\0" + path.read_bytes()).hexdigest()


def python_metric(name: str, *, digest: str, direction: Direction) -> Metric:
    """Return the metric, loaded.

    Args:
        name: ``python:package.module:name``.
        digest: Of its source when the search began.
        direction: Which way is better.

    Raises:
        UsageError: If it cannot be loaded, is no function, or its source changed since.
    """
    if source_digest(metric_source(name)) != digest:
        raise UsageError(f"The source of metric {name!r} changed while the search ran. Start again with --force.")
    return per_sample_metric(name, _explained(name, _loaded(name)), direction=direction, needs_labels=False)


def _loaded(name: str) -> Callable[[Array, Array | None], object]:
    module, _, attribute = name.removeprefix(PREFIX).partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # noqa: BLE001  code of the user's own may raise anything
        raise UsageError(f"Metric {name!r} cannot be loaded: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise UsageError(f"Metric {name!r}: module {module!r} has no function {attribute!r}.")
    call: Callable[[Array, Array | None], object] = found
    return call


def _explained(name: str, function: Callable[[Array, Array | None], object]) -> Callable[[Array, Array | None], Array]:
    """The function with errors that say at which sample."""

    def per_sample(outputs: Array, labels: Array | None) -> Array:
        try:
            values = np.asarray(function(outputs, labels))
        except Exception as error:  # noqa: BLE001  code of the user's own may raise anything
            row = _first_failing(function, outputs, labels)
            raise MetricFailedError(f"Metric {name!r} raised {type(error).__name__}: {error}", row) from None
        n = len(outputs)
        if values.shape not in ((n,), (n, 1)) or values.dtype.kind not in "biuf":
            raise MetricFailedError(
                f"Metric {name!r} gave {values.dtype} of shape {list(values.shape)} for {n} samples; it must give one "
                f"real number per sample, shape [{n}]",
                0,
            )
        wrong = np.flatnonzero(~np.isfinite(values.reshape(n).astype(np.float64)))
        if wrong.size:
            row = int(wrong[0])
            raise MetricFailedError(f"Metric {name!r} gave {values.reshape(n)[row]}, not a finite number", row)
        return values

    return per_sample


def _first_failing(function: Callable[[Array, Array | None], object], outputs: Array, labels: Array | None) -> int:
    """Row of the first sample that fails alone; 0 where only the batch does."""
    for row in range(len(outputs)):
        try:
            function(outputs[row : row + 1], None if labels is None else labels[row : row + 1])
        except Exception:  # noqa: BLE001  that is what is looked for
            return row
    return 0
