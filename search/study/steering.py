"""When a study stops early, for whoever runs it: a process on this machine or a set of workers.

Search seconds are the seconds of all items but those that only deliver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.study.plan import Replay, Stop
from search.tasks import ItemResult, Task
from search.work.kinds.evaluate import Evaluate
from search.work.kinds.registry import NOT_SEARCH


@dataclass(frozen=True)
class Limits:
    """When to stop early.

    Attributes:
        max_seconds: Search time over all sittings.
        max_evaluations: Trials begun.
    """

    max_seconds: float | None = None
    max_evaluations: int | None = None


def search_seconds(results: Iterable[ItemResult]) -> float:
    """Search time of these results."""
    return sum(result.seconds for result in results if result.kind not in NOT_SEARCH)


def time_is_up(replay: Replay, limits: Limits, seconds: float) -> bool:
    """Whether the time limit stops the study now; never while a stopped study delivers."""
    return replay.progress.stopping is None and limits.max_seconds is not None and seconds >= limits.max_seconds


def within_limits(
    tasks: Sequence[Task], replay: Replay, results: Mapping[str, ItemResult], limits: Limits
) -> tuple[Task, ...]:
    """Return ``tasks``, or those that deliver the best so far if they would begin a trial too many."""
    if tasks and _is_too_many(tasks, replay, limits):
        return replay.advance(results, "evaluations")
    return tuple(tasks)


def next_round(
    replay: Replay, results: Mapping[str, ItemResult], limits: Limits, stop: Stop | None = None
) -> tuple[Task, ...]:
    """Return what to run next, together; empty once the study is finished.

    Args:
        replay: The study.
        results: Everything stored, by item digest.
        limits: When to stop early.
        stop: Why to stop now.
    """
    return within_limits(replay.advance(results, stop), replay, results, limits)


def _is_too_many(tasks: Sequence[Task], replay: Replay, limits: Limits) -> bool:
    """Whether the tasks, which may hold several candidates of a batch, would begin a trial beyond the limit."""
    most, session = limits.max_evaluations, replay.progress.session
    if most is None or session is None or replay.progress.stopping is not None:
        return False
    works = [item.work for task in tasks for item in task.items]
    begun: int = sum(isinstance(work, Evaluate) and work.range[0] == 0 for work in works)
    done = sum(trial.evaluated for trial in session.trials)
    return begun > 0 and done + begun > most
