"""Runs searches on one case side by side: every result is computed once, yet each search is charged for all it asked.

The seconds of a search are those of its items, whoever computed them first, and of its own thinking, up to the re-check
of the exported file; what only delivers is left out. Float evaluations (FE) are the unit.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search.canonical import canonical_json, digest_bytes
from search.spec.load import build_job
from search.strategies.shared.session import TrialSession
from search.strategies.shared.trial import Trial
from search.study.plan import Replay, Strategy
from search.study.steering import NOT_SEARCH, Limits, within_limits
from search.tasks import ItemResult, Task
from search.work.item_runner import ItemRunner
from search.work.kinds.registry import run_items
from service.local.inputs import open_problem


@dataclass(frozen=True)
class Found:
    """What one search gave.

    Attributes:
        cost: Cost index of its answer; None if it met no goal.
        evaluations: Trials.
        equivalents: Full-set equivalents.
        seconds: Search time.
        minimal: What it claims.
        trial: Its answer.
        session: Everything it asked.
    """

    cost: float | None
    evaluations: int
    equivalents: float
    seconds: float
    minimal: bool | None
    trial: Trial | None
    session: TrialSession


@dataclass
class Lab:
    """One case: its results so far, and what computes them.

    Attributes:
        job: Job spec.
        results: Everything computed, by item digest.
        blobs: What the items left.
    """

    job: Mapping[str, Any]
    results: dict[str, ItemResult] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    _paths: dict[str, Path] = field(default_factory=dict)
    _runner: ItemRunner | None = None

    def path(self, digest: str) -> Path:
        """File or directory of an input."""
        return self._paths[digest]

    def get(self, digest: str) -> bytes:
        """A blob."""
        return self.blobs[digest]

    @property
    def runner(self) -> ItemRunner:
        """What computes items; there after the first search."""
        assert self._runner is not None
        return self._runner

    def search(
        self, *, instead: Strategy | None = None, most: int | None = None, goal: Any = None, **settings: Any
    ) -> Found:
        """Run one search to its re-checked answer.

        Args:
            instead: What searches instead of the strategy that ``settings`` name.
            most: Limit on evaluations.
            goal: Goals instead of those of the job.
            settings: Keys of ``search`` of the job spec.
        """
        job = copy.deepcopy(dict(self.job))
        job["search"] = {**job.get("search", {}), **settings}
        job["goal"] = goal or job["goal"]
        local = open_problem(build_job(job), base=Path())
        self._paths.update(local.paths)
        self._runner = self._runner or ItemRunner(local.problem, self)
        replay, own = Replay(local.problem, instead), dict[str, ItemResult]()
        thinking = 0.0
        while True:
            start = time.perf_counter()
            tasks = within_limits(replay.advance(own), replay, own, Limits(max_evaluations=most))
            thinking += time.perf_counter() - start
            if not tasks or tasks[0].kind.name in NOT_SEARCH:
                break
            for task in tasks:
                own.update(self._computed(task))
        session = replay.progress.session
        assert session is not None
        return _found(session, thinking + sum(result.seconds for result in own.values()))

    def _computed(self, task: Task) -> dict[str, ItemResult]:
        missing = tuple(item for item in task.items if item.digest not in self.results)
        last = time.perf_counter()
        for item, raw in run_items(self.runner, Task(missing)) if missing else ():
            blobs = {name: digest_bytes(data) for name, data in raw.blobs.items()}
            self.blobs.update({blobs[name]: data for name, data in raw.blobs.items()})
            data = json.loads(canonical_json(raw.data))
            now = time.perf_counter()
            self.results[item.digest] = ItemResult(item.digest, item.kind.name, data, blobs, seconds=now - last)
            last = now
        return {item.digest: self.results[item.digest] for item in task.items}


def _found(session: TrialSession, seconds: float) -> Found:
    met = [trial for trial in session.trials if trial.is_met]
    best = min(met, key=lambda trial: (trial.cost, trial.number), default=None)
    both = session.setting.evaluator == "integer"
    run = sum(t.n_run + (t.exported.n_run if both and t.exported is not None else 0) for t in session.trials)
    return Found(
        cost=None if best is None else best.cost,
        evaluations=len(session.trials),
        equivalents=run / max(1, session.setting.n_samples),
        seconds=seconds,
        minimal=session.minimal,
        trial=best,
        session=session,
    )
