"""What the package exports, by the part it comes from; a part is loaded once one of its names is used."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

ERRORS = frozenset(
    {
        "ExportMismatchError",
        "InvalidDataError",
        "InvalidModelError",
        "PinConflictError",
        "SearchError",
        "SelfTestError",
        "UnsupportedModelError",
        "UsageError",
    }
)


def _errors() -> ModuleType:
    from search import errors  # noqa: PLC0415

    return errors


def _calls() -> ModuleType:
    from bitbudget import _calls as calls  # noqa: PLC0415

    return calls


def _client() -> ModuleType:
    from service import client  # noqa: PLC0415

    return client


def _spec() -> ModuleType:
    from search.spec import job  # noqa: PLC0415

    return job


def _user_metric() -> ModuleType:
    from search.metrics import user_metric  # noqa: PLC0415

    return user_metric


def _metric() -> ModuleType:
    from bitbudget import _metric as metric  # noqa: PLC0415

    return metric


def _records() -> ModuleType:
    from search.records import trial  # noqa: PLC0415

    return trial


_PARTS: dict[str, tuple[Callable[[], ModuleType], str]] = {
    **{name: (_errors, name) for name in ERRORS},
    **{name: (_calls, name) for name in ("check", "export", "load_result", "search", "targets")},
    **{name: (_calls, name) for name in ("CheckedModel", "Result", "Rows", "Samples")},
    **{name: (_client, name) for name in ("AsyncClient", "Client")},
    "Goal": (_spec, "Goal"),
    "Metric": (_user_metric, "UserMetric"),
    "metric": (_metric, "metric"),
    "Job": (_spec, "JobSpec"),
    "Trial": (_records, "TrialRecord"),
}


def load_export(name: str) -> object:
    """Return the public object ``name``.

    Raises:
        AttributeError: If there is none.
    """
    if name not in _PARTS:
        raise AttributeError(f"module 'bitbudget' has no attribute {name!r}")
    part, attribute = _PARTS[name]
    return getattr(part(), attribute)
