"""``time``: configurations and the user's float model as they run on this machine, interleaved.

The only results of a study that depend on the clock. They are stored like all others, so a study that goes on keeps
the answer it had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from search.arrays import Array
from search.canonical import Json
from search.encoding import decoded
from search.evaluation.configuration import Configuration
from search.runtime.session import Level, Session
from search.runtime.stopwatch import Steady, interleave, steady
from search.tasks import Kind
from search.work.conditions import Reference
from search.work.item_runner import ItemRunner, Raw

KIND = Kind(name="time", label="time what meets the goals", doing="timing on this machine", phase="export")
Feeds = Mapping[str, Array]
ROUNDS = 15
MOST_SERIES = 4
QUIET = 0.02  # relative noise that is good enough
SHORTEST = 0.002  # seconds of one timing: a model that is quicker runs several times in it
LONGEST = 30.0  # seconds of one series; heavier models are timed in fewer rounds, three at least
FEWEST = 3


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Times of a set of models.

    Attributes:
        seconds: Per sample: the float model, then every configuration, then every file.
        noise: Relative difference between two halves of the rounds.
        batch: Samples in a run.
        rounds: Runs that count, of each.
    """

    seconds: tuple[float, ...]
    noise: float
    batch: int
    rounds: int


@dataclass(frozen=True, kw_only=True)
class TimeModels:
    """Time configurations beside the float model, on the same samples.

    Attributes:
        reference: Evaluation samples, and how models are quantized.
        seed: Of the order that samples are taken in.
        configurations: Beside the float model, which is always timed.
        files: Blobs of other models of the same inputs.
        batch: Samples in a run; what the model takes where that is fixed.
    """

    kind: ClassVar[Kind] = KIND
    reference: Reference
    seed: int
    configurations: tuple[Configuration, ...]
    files: tuple[str, ...] = ()
    batch: int = 1

    def read(self, data: Json) -> Timing:
        """Read a stored result."""
        return decoded(Timing, data)

    def run(self, runner: ItemRunner) -> Raw[Timing]:
        """Time the deployed session of every configuration beside the float model's."""
        feeding, threads = runner.loaded.feeding, runner.problem.threads
        batch = feeding.batch if feeding.fixed else min(self.batch, len(runner.order))
        feeds = runner.evaluation.batch(np.resize(runner.order, batch))
        sessions = [runner.loaded.user_session]
        for configuration in self.configurations:
            data = runner.qdq(configuration, explicit_moves=True).model.SerializeToString()
            sessions.append(Session(data, level=Level.DEPLOYED, threads=threads))
        for blob in self.files:
            sessions.append(Session(runner.files.get(blob), level=Level.DEPLOYED, threads=threads))
        # one thread: its processor time, which other jobs of the machine do not lengthen
        clock = time.process_time if threads == 1 else time.perf_counter
        times, repeats, rounds = _times([partial(_run, session, feeds) for session in sessions], clock)
        seconds = tuple(float(one) / (repeats * batch) for one in times.seconds)
        return Raw(Timing(seconds=seconds, noise=times.noise, batch=batch, rounds=rounds))


def _run(session: Session, feeds: Feeds) -> None:
    session.run({name: feeds[name] for name in session.inputs})


def _times(works: Sequence[Callable[[], None]], clock: Callable[[], float]) -> tuple[Steady, int, int]:
    """Times of a few runs each, how many runs that is, and rounds: more of them until the noise is low."""
    slowest, quickest = _once(works, clock)
    repeats = max(1, int(np.ceil(SHORTEST / max(quickest, 1e-7))))
    rounds = int(np.clip(LONGEST / (slowest * repeats * len(works)), FEWEST, ROUNDS))
    repeated = [partial(_repeat, work, repeats) for work in works]
    seconds = interleave(repeated, rounds=rounds, seed=0, clock=clock)
    for series in range(1, MOST_SERIES):
        if steady(seconds).noise <= QUIET or rounds < ROUNDS:
            break
        seconds = np.concatenate([seconds, interleave(repeated, rounds=rounds, seed=series, clock=clock)])
    return steady(seconds), repeats, len(seconds)


def _repeat(work: Callable[[], None], times: int) -> None:
    for _ in range(times):
        work()


def _once(works: Sequence[Callable[[], None]], clock: Callable[[], float]) -> tuple[float, float]:
    """Seconds of the slowest and the quickest, roughly: the second run of each."""
    found = []
    for work in works:
        work()
        start = clock()
        work()
        found.append(clock() - start)
    return max(found), min(found)
