"""The loop of a local run: ask what is next, compute it, store it, until nothing is missing or a limit is reached."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from search.study.plan import Finished, Replay, Stop
from search.study.steering import Limits, search_seconds, time_is_up, within_limits
from search.tasks import ItemResult, Task
from search.work.item_runner import ItemRunner
from search.work.problem import Problem
from service.local.computing import Computed, compute
from service.local.pool import Pool
from service.local.store import RunStore

Watch = Callable[["State"], None]


@dataclass
class State:
    """What a watcher may show.

    Attributes:
        replay: The study with its progress.
        task: What is being computed; the first of several tasks where they run at the same time.
        done: Items of these tasks that are finished in this sitting.
        total: Items of these tasks.
        seconds: Wall time of this sitting.
        note: What the user should know at once.
    """

    replay: Replay
    task: Task | None = None
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    note: str | None = None


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
        problem: The study.
        runner: What computes its items.
        store: The run directory, open.
        limits: When to stop early.
        reuse: Another run whose results are taken over by digest.
        watch: Called whenever something changed.
        asked: Says why somebody wants the run to stop, or None.
        began: When this sitting began, by ``time.monotonic``.
        pool: Further processes, where tasks run at the same time.
    """

    problem: Problem
    runner: ItemRunner
    store: RunStore
    limits: Limits = field(default_factory=Limits)
    reuse: RunStore | None = None
    watch: Watch = lambda _: None
    asked: Callable[[], Stop | None] = lambda: None
    began: float = field(default_factory=time.monotonic)
    pool: Pool | None = None

    def run(self, *, delivers: int | None = None) -> Outcome:
        """Run until finished, a limit or a request to stop; deliver the best trial, or that of a number."""
        replay = Replay(self.problem, delivers=delivers)
        clock = _Clock(self.search_seconds(), self.began)
        while tasks := self._next(replay, clock):
            self._run_round(tasks[:1] if self.pool is None else tasks, replay, clock)
        if replay.finished is None:
            raise RuntimeError("The study asks for nothing, yet it is not finished.")
        self.watch(State(replay, seconds=clock.total))
        return Outcome(replay.finished, replay.progress.stopping, self.search_seconds())

    def search_seconds(self) -> float:
        """Search time of all sittings so far."""
        return search_seconds(self.store.results.values())

    def _next(self, replay: Replay, clock: _Clock) -> tuple[Task, ...]:
        """What to run now, once everything that another run knows has been taken over."""
        stop = self._stop(replay, clock)
        tasks = replay.advance(self.store.results, None if self.reuse is not None else stop)
        while self.reuse is not None and self.store.take_over(self.reuse, _digests(tasks)):
            tasks = replay.advance(self.store.results)
        if stop is not None and self.reuse is not None:
            tasks = replay.advance(self.store.results, stop)
        return within_limits(tasks, replay, self.store.results, self.limits)

    def _run_round(self, tasks: tuple[Task, ...], replay: Replay, clock: _Clock) -> None:
        """Compute tasks item by item; each item is stored as it finishes."""
        state = State(replay, tasks[0], total=sum(len(task.items) for task in tasks), seconds=clock.total)
        self.watch(state)
        for computed in self._computed(tasks):
            self._keep(computed, state, clock)
            if self._stop(replay, clock) is not None:
                break
        for computed in self.pool.drain() if self.pool is not None else ():
            self._keep(computed, state, clock)

    def _computed(self, tasks: tuple[Task, ...]) -> Iterator[Computed]:
        """What the items of the tasks gave: all by this process, or shared with others."""

        def own(task: Task) -> Iterator[Computed]:
            return compute(self.runner, self.store, task)

        if self.pool is None:
            return own(tasks[0])
        self.pool.start()  # they make themselves ready while a single task is computed here
        return self.pool.run(tasks, own) if len(tasks) > 1 else own(tasks[0])

    def _keep(self, computed: Computed, state: State, clock: _Clock) -> None:
        """Store what an item gave. Its seconds are those since the last one, so that all of them add up to the wall."""
        item = computed.item
        self.store.add(ItemResult(item.digest, item.kind.name, computed.data, computed.blobs, seconds=clock.lap()))
        state.done += 1
        state.seconds = clock.total
        self.watch(state)

    def _stop(self, replay: Replay, clock: _Clock) -> Stop | None:
        """Why to stop now; None also while a stopped study delivers."""
        if replay.progress.stopping is not None:
            return None
        return self.asked() or ("time" if time_is_up(replay, self.limits, clock.total) else None)


def _digests(tasks: tuple[Task, ...]) -> list[str]:
    return [item.digest for task in tasks for item in task.items]


class _Clock:
    """Wall time of this sitting, on top of earlier ones."""

    def __init__(self, before: float, began: float) -> None:
        self._before = before
        self._start = self._last = began

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
def interrupts() -> Iterator[Callable[[], Stop | None]]:
    """Turn the first interrupt into a request to stop; the second one ends the program at once.

    Signals reach the main thread only; in another one nothing is turned.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
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
