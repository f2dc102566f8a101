"""The Pareto front: complete trials that no other complete trial beats in cost and every goal.

``a`` beats ``b`` if it is no worse in cost and in every value, and better in one of them; of equals the earlier one
stays. A value that is not defined is worse than any that is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from search.records.trial import TrialRecord


def front(trials: Iterable[TrialRecord], lower: Collection[str]) -> tuple[TrialRecord, ...]:
    """Return the front, cheapest first.

    Args:
        trials: In any order; those that are not complete do not take part.
        lower: Goal ids whose values are better when lower.
    """
    complete = sorted((trial for trial in trials if trial.is_complete), key=lambda trial: (trial.cost, trial.no))
    kept: list[tuple[TrialRecord, tuple[float, ...]]] = []
    for trial in complete:
        scores = _scores(trial, lower)
        # Whoever could beat this one is no dearer, so it was seen before it, or has its cost and comes right after.
        if any(_is_no_worse(other, scores) for _, other in kept):
            continue
        kept = [(one, other) for one, other in kept if one.cost != trial.cost or not _is_no_worse(scores, other)]
        kept.append((trial, scores))
    return tuple(trial for trial, _ in kept)


def _scores(trial: TrialRecord, lower: Collection[str]) -> tuple[float, ...]:
    """Values in the order of the goals' ids, turned so that higher is better."""
    return tuple(
        float("-inf") if value is None else -value if goal in lower else value
        for goal, value in sorted(trial.seen.items())
    )


def _is_no_worse(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(x >= y for x, y in zip(a, b, strict=True))
