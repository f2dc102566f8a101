"""Several processes that compute the tasks of one run at the same time: ``--jobs``.

The process of the command line is one of them and keeps its warm item runner; the others are spawned, each with one of
its own. They take whole tasks. A round is cut into tasks by its work alone (``search.task_macs``), never by how many
processes there are, so the answer is that of one process.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from search.errors import SearchError
from search.tasks import Task
from search.work.problem import Problem
from service.local.computing import Computed
from service.local.inputs import LocalProblem
from service.local.pool_process import Ended, Stop, work

END_S = 2.0
Compute = Callable[[Task], Iterator[Computed]]
News = Computed | Exception | None
"""A result, what went wrong, or None: a process has no task any more."""


class ProcessEndedError(SearchError):
    """A process of ``--jobs`` ended by itself."""


class Pool:
    """Processes of one run beside the one that makes it.

    Args:
        n: How many.
        problem: The study.
        paths: Inputs by digest.
        out: Output directory, whose blobs they read and write.
    """

    def __init__(self, n: int, problem: Problem, paths: Mapping[str, Path], out: Path) -> None:
        self._n = n
        self._arguments = (problem, dict(paths), out)
        self._members: list[_Member] = []
        self._waiting: deque[Task] = deque()
        self._news: SimpleQueue[News] = SimpleQueue()
        self._at_work = 0

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids."""
        return tuple(member.process.pid for member in self._members if member.process.pid is not None)

    def start(self) -> None:
        """Start them, once; they load libraries while this process computes."""
        if not self._members:
            with _undisturbed():
                self._members.extend(_Member(self._arguments) for _ in range(self._n))

    def run(self, tasks: Sequence[Task], own: Compute) -> Iterator[Computed]:
        """Yield what the items of all tasks gave, in the order they finish.

        Args:
            tasks: Independent of each other.
            own: How this process computes a task.

        Raises:
            ProcessEndedError: If a process ended by itself.
            SearchError: What a task raised.
        """
        self.start()
        self._waiting.extend(tasks)
        for member in self._members:
            member.begin(self._waiting, self._news)
            self._at_work += 1
        while (task := _next(self._waiting)) is not None:
            for computed in own(task):
                yield computed
                yield from self._received()
        yield from self._last()

    def drain(self) -> Iterator[Computed]:
        """Have every process finish the item at hand and no more; yield what they still gave; errors as for ``run``."""
        self._waiting.clear()
        if self._at_work:
            for member in self._members:
                member.stop()
        yield from self._last()

    def close(self) -> None:
        """End all of them, whatever they do."""
        self._waiting.clear()
        for member in self._members:
            member.end(at_once=self._at_work > 0)
        self._members.clear()

    def _received(self) -> Iterator[Computed]:
        """What has come in already."""
        while not self._news.empty():
            yield from self._taken()

    def _last(self) -> Iterator[Computed]:
        """What comes in until nobody is at work."""
        while self._at_work:
            yield from self._taken()

    def _taken(self) -> Iterator[Computed]:
        """The next news; waits for it."""
        news = self._news.get()
        if isinstance(news, Exception):
            raise news
        if news is None:
            self._at_work -= 1
        else:
            yield news


class _Member:
    """One process, and the thread that hands tasks to it."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._thread: Thread | None = None
        self.process: BaseProcess = spawn.Process(target=work, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()

    def begin(self, waiting: deque[Task], news: SimpleQueue[News]) -> None:
        """Take tasks from ``waiting`` until there are none, and tell what comes of them."""
        self._thread = Thread(target=self._serve, args=(waiting, news), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let the process end its task after the item at hand."""
        try:
            self._pipe.send(Stop())
        except OSError:
            return  # it is gone, which its thread tells

    def end(self, *, at_once: bool) -> None:
        """End the process; one that has nothing to do leaves by itself."""
        if at_once:
            self.process.kill()
        if self._thread is not None:
            self._thread.join()
        self._pipe.close()
        self.process.join(END_S)
        self.process.kill()
        self.process.join()
        self.process.close()

    def _serve(self, waiting: deque[Task], news: SimpleQueue[News]) -> None:
        try:
            while (task := _next(waiting)) is not None:
                self._pipe.send(task)
                while isinstance(message := self._pipe.recv(), Computed):
                    news.put(message)
                error = _error_of(message)
                if error is not None:
                    news.put(error)
                    return
            news.put(None)
        except (EOFError, OSError):
            news.put(self._ended())

    def _ended(self) -> ProcessEndedError:
        self.process.join(END_S)
        code = self.process.exitcode
        how = f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with status {code}"
        return ProcessEndedError(
            f"A process of --jobs {how}; the machine may be short of memory. Everything finished is stored: the same "
            "command goes on from there, and fewer --jobs need less memory."
        )


def _next(waiting: deque[Task]) -> Task | None:
    """Take the next task; several threads may ask."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _error_of(ended: Ended) -> Exception | None:
    if ended.fault is not None:
        return RuntimeError(ended.fault)
    return ended.error


@contextmanager
def processes(jobs: int, local: LocalProblem, out: Path) -> Iterator[Pool | None]:
    """Yield what computes beside this process, to be ended at the exit; None for one job."""
    if jobs == 1:
        yield None
        return
    pool = Pool(jobs - 1, local.problem, local.paths, out)
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let processes start that Ctrl-C in the terminal does not reach: this process decides what it means."""
    resource_tracker.ensure_running()  # starting it later would unblock the signals again
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
