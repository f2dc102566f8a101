"""``run_task``: compute the items of a task. The only dear function of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from search.tasks import Item, Task
from search.work.baseline import run_baseline, run_float
from search.work.calibrating import run_calibrate, run_collect, run_compare
from search.work.checking import run_check
from search.work.evaluating import run_confirm, run_evaluate, run_recheck, run_unoptimized
from search.work.exporting import run_export
from search.work.item_runner import ItemRunner, Raw
from search.work.layers import run_layers
from search.work.measuring import run_points
from search.work.problem import Files, Problem
from search.work.profiling import run_profile
from search.work.proposing import run_propose
from search.work.timing import run_time

RUNNERS: dict[str, Callable[[ItemRunner, Mapping[str, Any]], Raw]] = {
    "check": run_check,
    "float": run_float,
    "baseline": run_baseline,
    "collect": run_collect,
    "calibrate": run_calibrate,
    "compare": run_compare,
    "propose": run_propose,
    "evaluate": run_evaluate,
    "recheck": run_recheck,
    "confirm": run_confirm,
    "unoptimized": run_unoptimized,
    "export": run_export,
    "profile": run_profile,
    "layers": run_layers,
    "time": run_time,
}


def run_items(runner: ItemRunner, task: Task) -> Iterator[tuple[Item, Raw]]:
    """Yield every item with what it gave, as soon as it is finished."""
    if task.kind == "sensitivity":
        yield from zip(task.items, run_points(runner, [item.params for item in task.items]), strict=True)
        return
    runner.forget_float_values()
    for item in task.items:
        yield item, RUNNERS[item.kind](runner, item.params)


def run_task(task: Task, problem: Problem, files: Files) -> tuple[tuple[Item, Raw], ...]:
    """Compute a whole task from scratch: for callers that keep nothing between tasks."""
    return tuple(run_items(ItemRunner(problem, files), task))
