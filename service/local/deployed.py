"""Assignments of a model as they run on this machine, timed: what keeps the ``ort-cpu`` cost model honest.

Scales come from random samples: they do not change how long a kernel takes. Every assignment is exported as a search
would, loaded with all optimizations, and run on the same batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search.assignment import Assignment
from search.calibration.collect import collect
from search.calibration.grids import Grids, GridSettings
from search.calibration.ranges import derive_ranges
from search.data.fed import Fed
from search.errors import UsageError
from search.evaluation.qdq import QdqOptions, build_qdq
from search.quant.grid import ScaleRule
from search.runtime.session import Level, Session
from search.runtime.stopwatch import Steady, interleave, steady
from search.targets.fitting.measured import Measured
from search.targets.fitting.mixes import mixes
from search.targets.placement import place_by
from search.targets.rulebook import Rulebook
from search.targets.target import Target
from search.work.loaded import Loaded
from search.work.without_data import load_without_data

N_CALIBRATION = 8
MAX_BATCH = 64
MAX_SERIES = 4
MARGIN = 1.2  # of the shortest time: a single run may be slow by chance
_METHOD = "min_max"


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """How models are measured.

    Attributes:
        assignments: Per model.
        rounds: Runs of each that count; up to four times as many where the noise stays above ``quiet``.
        quiet: Noise that is good enough.
        min_seconds: The batch grows until the quickest assignment takes this long.
        threads: Intra-op threads.
        seed: Of the mixes and the order of runs.

    With one thread, processor time is what counts: the same as the time by the wall on a quiet machine, and without
    the time that other jobs take from a busy one.
    """

    assignments: int = 14
    rounds: int = 21
    quiet: float = 0.02
    min_seconds: float = 0.005
    threads: int = 1
    seed: int = 0

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds since any moment."""
        return time.process_time if self.threads == 1 else time.perf_counter


@dataclass(frozen=True, eq=False)
class ModelTimes:
    """Times of one model.

    Attributes:
        measured: Per assignment, of one run.
        noise: Relative difference of two halves of the rounds.
    """

    measured: tuple[Measured, ...]
    noise: float


def measure_model(path: Path, target: Target, how: Measuring, *, name: str) -> ModelTimes:
    """Time assignments of a model on this machine.

    Args:
        path: ONNX file with fixed sizes but for the batch.
        target: Its rules say what is legal.
        how: What is measured.
        name: Name of the model in the measurements.

    Raises:
        InvalidModelError: If the file is no usable model.
        UsageError: If the size of an axis other than the batch is open.
    """
    found = load_without_data(path, seed=how.seed, n_samples=N_CALIBRATION, threads=how.threads, fusion=target.fused)
    if found.assumed:
        raise UsageError(
            f"{path}: leaves sizes open ({', '.join(found.assumed)}). Export it with fixed ones to be timed."
        )
    loaded, source = found.loaded, found.samples
    network = loaded.structure.network
    book = Rulebook(network, target)
    chosen = mixes(book, how.assignments, seed=how.seed)
    sessions = _sessions(loaded, book, source, chosen, how)
    samples, feeds = _feeds(loaded, source, sessions, how)
    times = _steady_times([partial(session.run, feeds) for session in sessions], how)
    measured = tuple(
        Measured(model=name, microseconds=1e6 * seconds, samples=samples, network=network, assignment=assignment)
        for seconds, assignment in zip(times.seconds.tolist(), chosen, strict=True)
    )
    return ModelTimes(measured, times.noise)


def _sessions(
    loaded: Loaded, book: Rulebook, source: Fed, assignments: Sequence[Assignment], how: Measuring
) -> list[Session]:
    target, template, network = book.target, loaded.template, loaded.structure.network
    collected = collect(
        template.model, network, source, n_samples=N_CALIBRATION, feeding=loaded.feeding, threads=how.threads
    )
    wanted = [(_METHOD, 8), (_METHOD, 16)]
    ranges = derive_ranges(
        collected.at(N_CALIBRATION), wanted, rule=ScaleRule(target.activation_rule), integral=collected.integral
    )
    settings = GridSettings(method_8=_METHOD, method_16=_METHOD)
    grids = Grids(network, target, ranges, template.array, settings)
    models = (
        build_qdq(template, place_by(book, one), grids, QdqOptions(explicit_moves=True)).model for one in assignments
    )
    return [Session(model.SerializeToString(), level=Level.DEPLOYED, threads=how.threads) for model in models]


def _steady_times(works: Sequence[Callable[[], object]], how: Measuring) -> Steady:
    """Rounds until the noise is low or patience ends."""
    seconds = interleave(works, rounds=how.rounds, seed=how.seed, clock=how.clock)
    for more in range(1, MAX_SERIES):
        if steady(seconds).noise <= how.quiet:
            break
        seconds = np.concatenate([seconds, interleave(works, rounds=how.rounds, seed=how.seed + more, clock=how.clock)])
    return steady(seconds)


def _feeds(
    loaded: Loaded, source: Fed, sessions: Sequence[Session], how: Measuring
) -> tuple[int, Mapping[str, np.ndarray[Any, Any]]]:
    """Size and inputs of the smallest batch, doubling, with which every assignment takes ``how.min_seconds``."""
    batch = loaded.feeding.batch if loaded.feeding.fixed else 1
    while True:
        feeds = dict(source.batch(np.arange(batch) % N_CALIBRATION))
        if loaded.feeding.fixed or batch >= MAX_BATCH or _quickest(sessions, feeds, how) >= MARGIN * how.min_seconds:
            return batch, feeds
        batch *= 2


def _quickest(sessions: Sequence[Session], feeds: Mapping[str, np.ndarray[Any, Any]], how: Measuring) -> float:
    seconds = []
    for session in sessions:
        session.run(feeds)
        start = how.clock()
        session.run(feeds)
        seconds.append(how.clock() - start)
    return min(seconds)
