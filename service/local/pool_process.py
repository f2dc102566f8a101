"""What a further process of a run does: take a task, compute it item by item, take the next one.

It ends when the process that started it closes the pipe or is gone. It writes blobs, never results: the list of
results has one writer.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from search.errors import SearchError
from search.tasks import Task
from search.work.item_runner import ItemRunner
from search.work.problem import Problem
from service.local.computing import compute
from service.local.inputs import LocalFiles
from service.local.store import RunStore


@dataclass(frozen=True)
class Stop:
    """Sent to a process: finish the item at hand and forget the rest of the task."""


@dataclass(frozen=True)
class Ended:
    """Sent by a process: a task is over.

    Attributes:
        error: What the user must be told, or None.
        fault: An error that is ours, as text.
    """

    error: SearchError | None = None
    fault: str | None = None


def work(pipe: Connection, problem: Problem, paths: Mapping[str, Path], out: Path) -> None:
    """Serve until the pipe is closed.

    Args:
        pipe: Takes tasks and ``Stop``, gives results and ``Ended``.
        problem: The study.
        paths: Inputs by digest.
        out: Output directory.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # the process that started this one decides what they mean
        signal.signal(number, signal.SIG_IGN)
    store = RunStore(out)
    runner = ItemRunner(problem, LocalFiles(paths, store))
    try:
        while True:
            message = pipe.recv()
            if isinstance(message, Task):  # a Stop that comes late has nothing left to stop
                pipe.send(_run(runner, store, message, pipe))
    except (EOFError, ConnectionError):
        return


def _run(runner: ItemRunner, store: RunStore, task: Task, pipe: Connection) -> Ended:
    """Compute a task and send what its items gave."""
    try:
        for computed in compute(runner, store, task):
            pipe.send(computed)
            if pipe.poll():
                break
    except SearchError as error:
        return Ended(error=error)
    except (EOFError, ConnectionError):
        raise
    except Exception:  # noqa: BLE001  the edge: the process that started this one says what happened
        return Ended(fault=traceback.format_exc().strip().splitlines()[-1])
    return Ended()
