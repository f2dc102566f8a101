"""The loop of a local run: ask what is next, compute it, store it, until nothing is missing or a limit is reached."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from search.study.bench import Bench
from search.study.plan import Finished, Replay, Stop
from search.study.running import run_items
from search.tasks import ItemResult, Task
from service.local.inputs import LocalFiles, LocalProblem
from service.local.store import RunStore

NOT_SEARCH = frozenset({"export", "confirm", "unoptimized"})
"""Kinds whose time is not search time."""
Watch = Callable[["State"], None]


@dataclass
class State:
    """What a watcher may show.

    Attributes:
        replay: The study with its progress.
        task: What is being computed.
        done: Items of the task that are finished.
        total: Items of the task.
        seconds: Wall time of this sitting.
    """

    replay: Replay
    task: Task | None = None
    done: int = 0
    total: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Limits:
    """When to stop early.

    Attributes:
        max_seconds: Wall time over all sittings.
        max_evaluations: Trials begun.
    """

    max_seconds: float | None = None
    max_evaluations: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        finished: The study.
        stopped: Why it ended early, or None.
        seconds: Search time over all sittings.
    """

    finished: Finished
    stopped: Stop | None
    seconds: float


@dataclass
class Driver:
    """Runs one problem in one run directory.

    Attributes:
        local: The problem and its files.
        store: The run directory.
        limits: When to stop early.
        reuse: Another run whose results are taken over by digest.
        watch: Called whenever something changed.
    """

    local: LocalProblem
    store: RunStore
    limits: Limits = field(default_factory=Limits)
    reuse: RunStore | None = None
    watch: Watch = lambda _: None

    def run(self) -> Outcome:
        """Run until finished, a limit or a signal."""
        replay = Replay(self.local.problem)
        bench = Bench(self.local.problem, LocalFiles(self.local.paths, self.store))
        clock = _Clock(self.search_seconds())
        with _signals() as asked:
            while True:
                stop = asked() or self._limit(clock, replay)
                tasks = replay.advance(self.store.results, stop)
                if not tasks:
                    break
                stop = self._too_many(tasks[0], replay)
                if stop is not None:
                    tasks = replay.advance(self.store.results, stop)
                self._run_task(tasks[0], bench, replay, clock, asked)
        if replay.finished is None:
            raise RuntimeError("The study asks for nothing, yet it is not finished.")
        return Outcome(replay.finished, replay.progress.stopping, self.search_seconds())

    def search_seconds(self) -> float:
        """Search time of all sittings so far."""
        return sum(result.seconds for result in self.store.results.values() if result.kind not in NOT_SEARCH)

    def _run_task(
        self, task: Task, bench: Bench, replay: Replay, clock: _Clock, asked: Callable[[], Stop | None]
    ) -> None:
        """Compute a task item by item; each is stored as it finishes."""
        if self.reuse is not None:
            self.store.take_over(self.reuse, (item.digest for item in task.items))
        left = Task(tuple(item for item in task.items if item.digest not in self.store.results))
        state = State(replay, task, done=len(task.items) - len(left.items), total=len(task.items), seconds=clock.total)
        self.watch(state)
        if not left.items:
            return
        for item, raw in run_items(bench, left):
            blobs = {name: self.store.put(data) for name, data in raw.blobs.items()}
            self.store.add(ItemResult(item.digest, item.kind, raw.data, blobs, seconds=clock.lap()))
            state.done += 1
            state.seconds = clock.total
            self.watch(state)
            if replay.progress.stopping is None and (asked() or self._limit(clock, replay)):
                return

    def _limit(self, clock: _Clock, replay: Replay) -> Stop | None:
        if replay.progress.stopping is None and self.limits.max_seconds is not None:
            return "time" if clock.total >= self.limits.max_seconds else None
        return None

    def _too_many(self, task: Task, replay: Replay) -> Stop | None:
        """Whether the task would begin a trial beyond the limit."""
        most, desk = self.limits.max_evaluations, replay.progress.desk
        if most is None or desk is None or replay.progress.stopping is not None or task.kind != "evaluate":
            return None
        begins = task.items[0].params["range"][0] == 0
        begun = sum(trial.evaluated for trial in desk.trials)
        return "evaluations" if begins and begun >= most else None


class _Clock:
    """Wall time of this sitting, on top of earlier ones."""

    def __init__(self, before: float) -> None:
        self._before = before
        self._start = self._last = time.monotonic()

    @property
    def total(self) -> float:
        """Seconds over all sittings."""
        return self._before + time.monotonic() - self._start

    def lap(self) -> float:
        """Seconds since the last lap."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        return seconds


@contextmanager
def _signals() -> Iterator[Callable[[], Stop | None]]:
    """Turn the first interrupt into a request to stop; the second one ends the program at once."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: "interrupt" if seen else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
