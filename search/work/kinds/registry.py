"""The registry of kinds of work, and how the items of a task are computed: the only expensive function of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from search.canonical import Json
from search.encoding import decoded
from search.export.attempts import missing
from search.records.missing import Missing
from search.tasks import AnyItem, Item, Kind, R_co, Task, Work
from search.work.item_runner import ItemRunner, Raw
from search.work.kinds.baseline import MeasureFloat
from search.work.kinds.calibrate import Calibrate
from search.work.kinds.check import Check
from search.work.kinds.collect import Collect
from search.work.kinds.compare import Compare
from search.work.kinds.confirm import Confirm
from search.work.kinds.dynamic import TryDynamic
from search.work.kinds.evaluate import Evaluate
from search.work.kinds.export import Export
from search.work.kinds.float import RunFloat
from search.work.kinds.layers import DumpLayers
from search.work.kinds.profile import Profile
from search.work.kinds.propose import Propose
from search.work.kinds.recheck import Recheck
from search.work.kinds.sensitivity import MeasurePoint, run_points
from search.work.kinds.time import TimeModels
from search.work.kinds.unoptimized import RunUnoptimized
from search.work.problem import Files, Problem


class Runnable(Work[R_co], Protocol[R_co]):
    """Work that the item runner can do."""

    def run(self, runner: ItemRunner) -> Raw[R_co]:
        """Compute it."""
        ...


AnyWork: TypeAlias = Runnable[object]
_WORKS: tuple[type[AnyWork], ...] = (
    Check,
    Collect,
    Calibrate,
    RunFloat,
    MeasureFloat,
    Compare,
    MeasurePoint,
    Evaluate,
    Propose,
    Recheck,
    TryDynamic,
    TimeModels,
    Confirm,
    RunUnoptimized,
    Export,
    Profile,
    DumpLayers,
)
WORKS: Mapping[str, type[AnyWork]] = {work.kind.name: work for work in _WORKS}
"""Kind to its parameters, in the order of a study."""
KINDS: Mapping[str, Kind] = {name: work.kind for name, work in WORKS.items()}
"""Name of a kind to what people see of it."""
NOT_SEARCH = frozenset(name for name, kind in KINDS.items() if not kind.is_search)
"""Kinds whose time is not search time."""


def item_from_json(value: Mapping[str, Json]) -> AnyItem:
    """Read what ``Item.to_json`` wrote.

    Raises:
        ValueError: If it is no item of a kind that is known.
    """
    kind, context = value.get("kind"), value.get("context")
    if not isinstance(kind, str) or not isinstance(context, str):
        raise ValueError("An item needs a kind and a context.")
    if kind not in WORKS:
        raise ValueError(f"There is no kind of work {kind!r}; there are {', '.join(WORKS)}.")
    return Item(decoded(WORKS[kind], value.get("work")), context)


def run_items(runner: ItemRunner, task: Task) -> Iterator[tuple[AnyItem, Raw[object]]]:
    """Yield every item with what it gave, as soon as it is finished."""
    points = [item.work for item in task.items if isinstance(item.work, MeasurePoint)]
    if points:
        yield from zip(task.items, run_points(runner, points), strict=True)
        return
    runner.forget_float_values()
    for item in task.items:
        work = _runnable(item)
        yield item, attempt(work, runner) if item.kind.delivers else work.run(runner)


@dataclass(frozen=True)
class Failed:
    """The stored result of delivering work that failed; its field is ``search.tasks.FAILED``."""

    failed: Missing


def attempt(work: AnyWork, runner: ItemRunner) -> Raw[object]:
    """Compute what delivers as far as it can be: a search that is finished is never thrown away."""
    try:
        return work.run(runner)
    except Exception as error:  # noqa: BLE001
        return Raw(Failed(missing(work.kind.name, error)))


def run_task(task: Task, problem: Problem, files: Files) -> tuple[tuple[AnyItem, Raw[object]], ...]:
    """Compute a whole task from scratch: for callers that keep nothing between tasks."""
    return tuple(run_items(ItemRunner(problem, files), task))


def _runnable(item: AnyItem) -> AnyWork:
    work = item.work
    if not isinstance(work, _WORKS):
        raise TypeError(f"{type(work).__name__} is no kind of work that can be run.")
    return work
