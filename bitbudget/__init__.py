"""The cheapest int8/int16/fp16 assignment of an ONNX network that meets its accuracy goal.

    result = bitbudget.search("model.onnx", calibration="calib.npz", evaluation="eval.npz", goal="top1,max-drop=0.01")

What stands in ``__all__`` is public and follows the deprecation rule of docs/release.md; everything else is private.
Names are loaded when they are used (PEP 562), so importing this package costs nothing.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitbudget._calls import CheckedModel, Result, Rows, Samples, check, export, load_result, search, targets
    from bitbudget._metric import metric
    from search.errors import (
        ExportMismatchError,
        InvalidDataError,
        InvalidModelError,
        PinConflictError,
        SearchError,
        SelfTestError,
        UnsupportedModelError,
        UsageError,
    )
    from search.metrics.user_metric import UserMetric as Metric
    from search.records.trial import TrialRecord as Trial
    from search.spec.goals import Goal
    from search.spec.job import JobSpec as Job
    from service.client import AsyncClient, Client

__version__ = version("bitbudget")
__all__ = [
    "AsyncClient",
    "CheckedModel",
    "Client",
    "ExportMismatchError",
    "Goal",
    "InvalidDataError",
    "InvalidModelError",
    "Job",
    "Metric",
    "PinConflictError",
    "Result",
    "Rows",
    "Samples",
    "SearchError",
    "SelfTestError",
    "Trial",
    "UnsupportedModelError",
    "UsageError",
    "__version__",
    "check",
    "export",
    "load_result",
    "metric",
    "search",
    "targets",
]


def __getattr__(name: str) -> Any:
    """Load a public name on first use."""
    from bitbudget._exports import load_export  # noqa: PLC0415  so that importing the package loads nothing

    found = load_export(name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
