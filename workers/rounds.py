"""What a study needs next: its results, replayed. The rows of ``items`` are all there is to know.

The items of a round are independent of each other; they are bundled into tasks by their estimated work, never by how
many workers there are. The bundles are what other workers can take.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.engine import Connection

from search.canonical import digest_json
from search.records.document import to_json
from search.study.plan import Replay, Stop
from search.study.steering import Limits, next_round, search_seconds, time_is_up
from search.tasks import ItemResult, Task
from search.work.kinds import export
from service.store.db import items, trials
from service.store.db.studies import Study
from service.store.db.tasks import TaskPlan
from service.store.db.trials import TrialRow
from workers.derived import DELIVER, DELIVER_LABEL, search_facts, trial_rows
from workers.problem import StudyProblem

KEPT = 16
"""Replays kept in memory; others are built again from their rows."""
SMALL_MACS = 5e9
"""A task below this is not worth another worker, which would have to prepare the configuration, too."""


@dataclass(frozen=True)
class Round:
    """What to do next.

    Attributes:
        plans: Tasks; the last one of a study delivers.
        is_small: Whether it is one task not worth handing over.
        stopped: Why the study ended early, or None.
        seconds: Search time so far.
        rows: Trials to store.
        news: Those among them that nobody was told of.
        facts: What trials are judged by, as ``derived.search_facts`` gives it.
    """

    plans: tuple[TaskPlan, ...]
    is_small: bool
    stopped: Stop | None
    seconds: float
    rows: tuple[TrialRow, ...]
    news: tuple[TrialRow, ...]
    facts: Mapping[str, Any]


@dataclass
class StudyReplay:
    """A study's replay with the results it has seen.

    Attributes:
        study: What it is a replay of.
        replay: How far it has come.
        results: By item digest.
        published: Trial number to the digest of what was stored of it; None if an earlier replay stored it.
        newest: Number of the newest result.
        lock: One at a time.
    """

    study: StudyProblem
    replay: Replay
    results: dict[str, ItemResult] = field(default_factory=dict)
    published: dict[int, str | None] = field(default_factory=dict)
    newest: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, study: StudyProblem) -> StudyReplay:
        """A study of which nothing is known yet."""
        return cls(study, Replay(study.problem))

    def catch_up(self, connection: Connection, study_id: str) -> None:
        """Read the results that are new."""
        found = items.since(connection, study_id, self.newest)
        self.newest = found.no
        for digest, result in found.results.items():
            self.results.setdefault(digest, result)
        if not self.published:
            stored = trials.count(connection, study_id)
            self.published = dict.fromkeys(range(1, stored + 1))

    def advance(self, row: Study) -> Round:
        """Replay as far as the results allow."""
        limits = limits_of(row)
        seconds = search_seconds(self.results.values())
        stop = self._stop(row, limits, seconds)
        tasks = next_round(self.replay, self.results, limits, stop)
        stopped = self.replay.progress.stopping
        if not tasks and self.replay.finished is None:
            raise RuntimeError("The study asks for nothing, yet it is not finished.")
        plans = (
            tuple(_plan(task) for task in sorted(tasks, key=_haste))
            if tasks
            else (_delivery(row.id, stopped, seconds),)
        )
        is_small = len(plans) == 1 and (not tasks or _is_small(tasks[0]))
        rows, news = self._changed()
        return Round(plans, is_small, stopped, seconds, rows, news, search_facts(self.replay))

    def _stop(self, row: Study, limits: Limits, seconds: float) -> Stop | None:
        if row.stopped is not None:  # decided before; a replay from the start must come to the same end
            return _STOPS[row.stopped]
        return "time" if time_is_up(self.replay, limits, seconds) else None

    def _changed(self) -> tuple[tuple[TrialRow, ...], tuple[TrialRow, ...]]:
        rows, news = [], []
        for row in trial_rows(self.replay):
            digest = digest_json(to_json(replace(row.record, seconds=0.0)))
            if self.published.get(row.record.no, "") == digest:
                continue
            rows.append(row)
            if self.published.get(row.record.no, "") is not None:
                news.append(row)
            self.published[row.record.no] = digest
        return tuple(rows), tuple(news)


_STOPS: Mapping[str, Stop] = {stop: stop for stop in ("time", "evaluations", "interrupt", "cancel")}


class ReplayCache:
    """The replays a worker has in memory."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[object, StudyReplay]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, study_id: str, source: object, problem: Callable[[], StudyProblem]) -> StudyReplay:
        """Return the replay of a study, a new one if what its problem is made from has changed.

        Args:
            study_id: The study.
            source: What its problem is made from.
            problem: Makes it.
        """
        with self._lock:
            kept = self._kept.pop(study_id, None)
            if kept is None or kept[0] != source:
                kept = (source, StudyReplay.of(problem()))
            self._kept[study_id] = kept
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return kept[1]

    def forget(self, study_id: str) -> None:
        """Build it from the rows next time."""
        with self._lock:
            self._kept.pop(study_id, None)


def limits_of(row: Study) -> Limits:
    """Limits of the search itself."""
    return Limits(max_seconds=row.limits.get("max_seconds"), max_evaluations=row.limits.get("max_evaluations"))


def _is_small(task: Task) -> bool:
    """Whether handing the task over takes about as long as computing it; nothing is known of a new study."""
    work = sum(item.macs for item in task.items)
    return task.kind == export.KIND or 0 < work <= SMALL_MACS


def _haste(task: Task) -> float:
    """Which task to begin first: one that may take long, so that none is left alone at the end of the round."""
    work = sum(item.macs for item in task.items)
    return -work if work else -math.inf


def _plan(task: Task) -> TaskPlan:
    return TaskPlan(
        digest=task.digest,
        kind=task.kind.name,
        label=task.kind.label,
        n_items=len(task.items),
        payload={"items": [item.to_json() for item in task.items]},
    )


def _delivery(study_id: str, stopped: Stop | None, seconds: float) -> TaskPlan:
    identity = digest_json([DELIVER, study_id, stopped])
    payload = {"stopped": stopped, "seconds": seconds}
    return TaskPlan(digest=identity, kind=DELIVER, label=DELIVER_LABEL, n_items=1, payload=payload)


def item_digests(payload: Mapping[str, Any]) -> Sequence[str]:
    """Identities of the items of a stored task, in order; one that delivers has none."""
    return [digest_json(one) for one in payload.get("items", ())]
