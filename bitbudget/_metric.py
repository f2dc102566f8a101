"""``@bitbudget.metric``: a function becomes a metric; and what a program gives as one is brought to a name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, overload

from search.errors import UsageError
from search.metrics.user_metric import Direction, Loop, PerBatch, UserMetric, Value, user_metric
from search.spec.goals import Goal


@overload
def metric(function: PerBatch | Loop, /) -> UserMetric: ...


@overload
def metric(
    *,
    value: Value | None = None,
    direction: Direction | None = None,
    best: float | None = None,
    version: str = "",
    name: str | None = None,
) -> Callable[[PerBatch | Loop], UserMetric]: ...


def metric(
    function: PerBatch | Loop | None = None,
    /,
    *,
    value: Value | None = None,
    direction: Direction | None = None,
    best: float | None = None,
    version: str = "",
    name: str | None = None,
) -> UserMetric | Callable[[PerBatch | Loop], UserMetric]:
    """Make a metric of a function: ``per_batch(outputs, labels) -> records``, or a loop ``evaluate(run) -> float``.

    Used bare, the records are numbers and their mean is the value; the limit of the goal says which way is better.

    Args:
        function: Of two arguments ``(outputs, labels)``, or of one, ``run``.
        value: From records to the value; None: their mean.
        direction: ``"higher"`` or ``"lower"`` is better.
        best: Best number a sample can have, for means.
        version: Raise it where the answers change and the source does not.
        name: What results call it.

    Raises:
        UsageError: If it is no such function.
    """

    def make(found: PerBatch | Loop) -> UserMetric:
        kind = user_metric(found, name=getattr(found, "__name__", type(found).__name__))
        return UserMetric(
            per_batch=kind.per_batch,
            evaluate=kind.evaluate,
            value=kind.value if value is None else value,
            direction=direction,
            best=best,
            version=version,
            name=name,
        )

    return make if function is None else make(function)


def goal_of(found: Any, limits: dict[str, Any]) -> Goal:
    """Return the goal of a metric that a program gave as an object.

    Args:
        found: A function, or a ``Metric``.
        limits: What ``Metric.goal`` takes.

    Raises:
        UsageError: If it is no metric, or there is not one limit.
    """
    own = user_metric(found, name=getattr(found, "__name__", type(found).__name__))
    try:
        return own.goal(**limits)
    except TypeError as error:
        raise UsageError(f"A metric takes one limit, output and labels: {error}") from None


def objects(goals: list[Goal], *, processes: int) -> dict[str, UserMetric]:
    """Return the metrics of goals that their name alone does not lead to, by that name.

    Raises:
        UsageError: If two have one name, or other processes would need one that they cannot import.
    """
    found: dict[str, UserMetric] = {}
    for goal in goals:
        own = goal.own
        if not isinstance(own, UserMetric) or _is_importable(goal.metric, own):
            continue
        if found.get(goal.metric, own) is not own:
            raise UsageError(f"Two metrics are called {goal.metric!r}; give them names, metric(name=...).")
        if processes > 1:
            raise UsageError(
                f"Metric {goal.metric!r} lives in this program alone, and processes={processes} cannot import it. Put "
                "it into a module as @bitbudget.metric, or take processes=1."
            )
        found[goal.metric] = own
    return found


def _is_importable(name: str, own: UserMetric) -> bool:
    """Whether a new process finds this very metric by its name."""
    module, _, attribute = name.removeprefix("python:").partition(":")
    if module in ("__main__", "own"):
        return False
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return False
    return found is own or (found is own.main and own.is_plain)
