"""A metric of the user's own, in Python: several outputs and labels at once, one small record per sample.

    records = per_batch(outputs, labels)   outputs: name to array [n, ...]; labels: key to array [n, ...], or a list of
                                           n arrays where samples differ in size; -> n records
    value(records) -> float                of any number of samples; without it the records are numbers, and it is
                                           their mean
    evaluate(run) -> float                 instead of both: the user's whole loop, outputs = run(inputs)

A record is what JSON holds: numbers, texts, lists and mappings, at most ``MAX_RECORD_BYTES`` of it. ``value`` gets
records as JSON reads them back: tuples as lists, NumPy numbers as Python numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from search.arrays import Array
from search.errors import UsageError
from search.spec.goal_text import goal_from
from search.spec.goals import Goal

Direction: TypeAlias = Literal["higher", "lower"]
Labels: TypeAlias = Mapping[str, Any]
PerBatch: TypeAlias = Callable[[dict[str, Array], dict[str, Any]], Sequence[Any] | Array]
Value: TypeAlias = Callable[[Sequence[Any]], float]
Run: TypeAlias = Callable[[Mapping[str, npt.ArrayLike]], dict[str, Array]]
Loop: TypeAlias = Callable[[Run], float]

MAX_RECORD_BYTES = 64 * 2**10
_FIELDS = ("per_batch", "value", "evaluate", "direction", "best", "version")


@dataclass(frozen=True, eq=False, kw_only=True)
class UserMetric:
    """A metric of your own; give it to ``search`` as ``metric=``, or as a goal by ``goal``.

    Attributes:
        per_batch: From outputs and labels of some samples to one record per sample. It must not depend on which
            samples come together.
        value: From the records of any samples to the value; None: the records are numbers, and it is their mean.
        evaluate: Instead of both, a loop of your own over the model, ``evaluate(run) -> float``. It runs on all of
            its data every time: no early rejection, no intervals.
        direction: Which way is better; None: as the limit of the goal says.
        best: Best number a sample can have, where the value is the mean; lets hopeless candidates end earlier.
        version: Raise it where what the metric computes changes and its source does not (data, libraries).
        name: How the goal calls it; None: where it is defined.
    """

    per_batch: PerBatch | None = None
    value: Value | None = None
    evaluate: Loop | None = None
    direction: Direction | None = None
    best: float | None = None
    version: str = ""
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.per_batch is None) == (self.evaluate is None):
            raise UsageError("A metric has per_batch(outputs, labels), or else evaluate(run) alone.")
        if self.evaluate is not None and self.value is not None:
            raise UsageError("A metric with evaluate(run) gives the value itself; leave value out.")
        for name in ("per_batch", "value", "evaluate"):
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise UsageError(f"{name} of a metric is a function, not {type(given).__name__}.")
        if self.direction not in (None, "higher", "lower"):
            raise UsageError(f"direction of a metric is 'higher' or 'lower', not {self.direction!r}.")
        if self.best is not None and not self.is_mean:
            raise UsageError("best belongs to a metric whose value is the mean of its records.")

    @property
    def is_mean(self) -> bool:
        """Whether the value is the mean of records, which are numbers."""
        return self.value is None and self.evaluate is None

    @property
    def is_plain(self) -> bool:
        """Whether the function alone makes it."""
        return (self.value, self.direction, self.best, self.version, self.name) == (None, None, None, "", None)

    @property
    def main(self) -> Callable[..., Any]:
        """The function that defines it."""
        found = self.per_batch if self.evaluate is None else self.evaluate
        assert found is not None
        return found

    @property
    def id(self) -> str:
        """``python:module:name``."""
        if self.name is not None:
            return self.name if self.name.startswith("python:") else f"python:own:{self.name}"
        main = inspect.unwrap(self.main)
        named = main if hasattr(main, "__qualname__") else type(main)
        module = getattr(named, "__module__", None) or "own"
        if not all(part.isidentifier() for part in module.split(".")):  # run as text, not as a module
            module = "own"
        words = str(named.__qualname__).replace("<locals>.", "").replace("<lambda>", "unnamed")
        return f"python:{module}:{words.replace('.', '_')}"

    def __call__(self, *arguments: Any) -> Any:
        """Call the function that defines it, as if it were not wrapped."""
        return self.main(*arguments)

    def goal(
        self,
        *,
        max_drop: float | None = None,
        min_value: float | None = None,
        min_ratio: float | None = None,
        max_increase: float | None = None,
        max_value: float | None = None,
        output: str | None = None,
        labels: str | None = None,
    ) -> Goal:
        """Return the goal with exactly one limit; ``output`` and ``labels`` narrow what the metric is given.

        Raises:
            UsageError: If there is not exactly one limit.
        """
        limits = {
            "max_drop": max_drop,
            "min_value": min_value,
            "min_ratio": min_ratio,
            "max_increase": max_increase,
            "max_value": max_value,
        }
        given = {
            key: value for key, value in {**limits, "output": output, "labels": labels}.items() if value is not None
        }
        found = goal_from({"metric": self.id, **given}, where="goal")
        found.remember(self)
        return found


def user_metric(found: object, *, name: str) -> UserMetric:
    """Return what a program gave as a metric: a ``UserMetric``, a function, or an object that has its attributes.

    A function of one argument is a whole loop, one of two is ``per_batch``.

    Args:
        found: What was given.
        name: What the user knows it by, for the message.

    Raises:
        UsageError: If it is none of these.
    """
    if isinstance(found, UserMetric):
        return found
    if not inspect.isclass(found) and (hasattr(found, "per_batch") or hasattr(found, "evaluate")):
        return UserMetric(**{field: getattr(found, field) for field in _FIELDS if hasattr(found, field)})
    if not callable(found) or inspect.isclass(found):
        raise UsageError(f"Metric {name!r} is a {type(found).__name__}; it must be a function or a Metric.")
    return UserMetric(evaluate=found) if _n_arguments(found, name) == 1 else UserMetric(per_batch=found)


def _n_arguments(function: Callable[..., Any], name: str) -> int:
    """Arguments that must be given."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built in, without a signature
        return 2
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in places)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters) or needed <= 2 <= len(places):
        return 2
    if needed <= 1 <= len(places):
        return 1
    raise UsageError(
        f"Metric {name!r} takes {needed} arguments; it must be per_batch(outputs, labels), or a loop evaluate(run)."
    )


def batch_labels(labels: Mapping[str, Array], rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return the labels of some samples: an array each, a list of arrays where samples differ in size."""
    return {key: _rows(values, rows) for key, values in labels.items()}


def _rows(values: Array, rows: npt.NDArray[np.int64]) -> Any:
    taken = values[rows]
    return list(taken) if taken.dtype == np.object_ else taken
