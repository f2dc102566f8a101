"""Goals and their values outside of trials."""

from __future__ import annotations

from search.metrics.part import Part
from search.spec.goals import Goal
from search.spec.resolve import DEFAULT_LABELS, OutputInfo, resolve_goals
from search.strategies.shared.goals import GoalState
from search.tasks import ItemResult
from search.work.problem import Problem


def value_from(goal: GoalState, result: ItemResult | None) -> float | None:
    """Value of ``goal`` from the parts an item measured; None where there is no such item."""
    if result is None:
        return None
    stored = result.data["parts"][goal.id]
    return goal.value([Part.from_json(one) for one in (stored if isinstance(stored, list) else [stored])])


def unmeasured_goals(problem: Problem, check: ItemResult) -> tuple[Goal, ...]:
    """Goals that were asked for although there is no evaluation data; their labels are taken to exist.

    Raises:
        UsageError: If a goal does not fit the model.
    """
    if problem.evaluation is not None or not problem.spec.goal:
        return ()
    outputs = [OutputInfo(name, tuple(shape)) for name, shape in check.data["outputs"]]
    return resolve_goals(problem.spec.goal, outputs, [goal.labels or DEFAULT_LABELS for goal in problem.spec.goal])
