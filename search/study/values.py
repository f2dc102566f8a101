"""Values of goals from the results of other items than trials."""

from __future__ import annotations

from search.metrics.part import Part
from search.strategies.goals import GoalState
from search.tasks import ItemResult


def value_from(goal: GoalState, result: ItemResult | None) -> float | None:
    """Value of ``goal`` from the parts an item measured; None where there is no such item."""
    if result is None:
        return None
    stored = result.data["parts"][goal.id]
    return goal.value([Part.from_json(one) for one in (stored if isinstance(stored, list) else [stored])])
