"""Goals and their values outside of trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from search.metrics.part import Part
from search.spec.goals import Goal
from search.spec.resolve import DEFAULT_LABELS, resolve_goals
from search.strategies.shared.goals import GoalState
from search.study.described import output_infos
from search.tasks import Answer
from search.work.kinds.check import Checked
from search.work.problem import Problem


class Measured(Protocol):
    """A result that holds parts."""

    @property
    def parts(self) -> Mapping[str, tuple[Part, ...]]:
        """Goal to its results, one per range."""
        ...


def value_from(goal: GoalState, answer: Answer[Measured] | None) -> float | None:
    """Value of ``goal`` from the parts an item measured; None where there is no such item."""
    return None if answer is None else goal.value(answer.value.parts[goal.id])


def unmeasured_goals(problem: Problem, check: Answer[Checked]) -> tuple[Goal, ...]:
    """Goals that were asked for although there is no evaluation data; their labels are taken to exist.

    Raises:
        UsageError: If a goal does not fit the model.
    """
    if problem.evaluation is not None or not problem.spec.goal:
        return ()
    outputs = output_infos(check.value.model)
    return resolve_goals(problem.spec.goal, outputs, [goal.labels or DEFAULT_LABELS for goal in problem.spec.goal])
