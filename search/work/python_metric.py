"""Metrics that are Python code: found by name, or as the object that a program gave.

    python:package.module:name   the user's own, on her own machine: its code runs with the rights of the program, so it
                                 is run only where she asked for it, never for a job that came from elsewhere
    plugin:name                  of a package that is installed (entry point group ``bitbudget.metrics``): on a server
                                 the administrator's

Either is a function ``(outputs, labels)``, a loop ``evaluate(run)``, or a ``Metric`` (search/metrics/user_metric.py).
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from search.errors import UsageError
from search.metrics.metric import Metric
from search.metrics.recorded import recorded_metric
from search.metrics.reductions import Direction
from search.metrics.user_metric import UserMetric, user_metric
from search.spec.goals import Goal
from search.spec.installed_metrics import check_installed, installed_metrics
from search.spec.metric_names import PLUGIN_PREFIX, PYTHON_PREFIX
from search.work.metric_identity import metric_digest


def known_metric(name: str, own: Mapping[str, UserMetric]) -> UserMetric:
    """Return a metric by name.

    Args:
        name: ``python:package.module:name`` or ``plugin:name``.
        own: Objects that a program gave, by the name they go by.

    Raises:
        UsageError: If there is none, or it cannot be loaded.
    """
    if name in own:
        return own[name]
    return _installed(name) if name.startswith(PLUGIN_PREFIX) else _imported(name)


def digest_of(name: str, own: Mapping[str, UserMetric]) -> str:
    """Return the digest of a metric: of its source, its version, and what it has captured.

    Raises:
        UsageError: As ``known_metric``, or if it holds what has no identity.
    """
    user = known_metric(name, own)
    source = None if name in own or name.startswith(PLUGIN_PREFIX) else metric_source(name)
    return metric_digest(name, user, source=source)


def planned_metric(goal: Goal, own: Mapping[str, UserMetric]) -> Metric:
    """Return the metric of a goal.

    Raises:
        UsageError: As ``known_metric``, or if the limit of the goal does not fit its direction.
    """
    user = known_metric(goal.metric, own)
    return recorded_metric(goal.metric, user, direction_of(goal, user))


def measuring_metric(name: str, own: Mapping[str, UserMetric], *, digest: str, direction: Direction) -> Metric:
    """Return a metric to measure with.

    Args:
        name: ``python:...`` or ``plugin:...``.
        own: Objects that a program gave.
        digest: Of the metric when the search began.
        direction: Which way is better.

    Raises:
        UsageError: If it cannot be loaded, or is another one by now.
    """
    user = known_metric(name, own)
    if digest_of(name, own) != digest:
        raise UsageError(f"Metric {name!r} changed while the search ran. Run the same command again.")
    return recorded_metric(name, user, user.direction or direction)


def direction_of(goal: Goal, user: UserMetric) -> Direction:
    """Return which way is better: what the metric states, else what the limit implies.

    Raises:
        UsageError: If the two do not agree.
    """
    if user.direction is None or goal.limit == "min_ratio":
        return user.direction or goal.direction
    if user.direction != goal.direction:
        fitting = "max_drop, min_value" if user.direction == "higher" else "max_increase, max_value"
        raise UsageError(
            f"Goal {goal.id!r}: {goal.limit} does not fit a metric of which {user.direction} is better; take one of "
            f"{fitting}, min_ratio."
        )
    return user.direction


def metric_source(name: str) -> Path:
    """Return the file that a ``python:`` metric is found in.

    Raises:
        UsageError: If its module is not found or has no source file.
    """
    module = name.removeprefix(PYTHON_PREFIX).partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a package on the way is missing, or is no package
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise UsageError(
            f"Metric {name!r}: there is no module {module!r} with a source file. Install it, or run where it lies."
        )
    return Path(spec.origin)


def _installed(name: str) -> UserMetric:
    check_installed(name)
    return _loaded_plugin(name)


@lru_cache(maxsize=64)
def _loaded_plugin(name: str) -> UserMetric:
    try:
        found = installed_metrics()[name.removeprefix(PLUGIN_PREFIX)].load()
    except Exception as error:  # noqa: BLE001  code of another package may raise anything
        raise UsageError(f"Metric {name!r} cannot be loaded: {type(error).__name__}: {error}") from None
    return user_metric(found, name=name)


def _imported(name: str) -> UserMetric:
    metric_source(name)
    module, _, attribute = name.removeprefix(PYTHON_PREFIX).partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except Exception as error:  # noqa: BLE001  code of the user's own may raise anything
        raise UsageError(f"Metric {name!r} cannot be loaded: {type(error).__name__}: {error}") from None
    if found is None:
        raise UsageError(f"Metric {name!r}: module {module!r} has no {attribute!r}.")
    return user_metric(found, name=name)
