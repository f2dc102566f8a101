"""One study on one worker and on two, in turns, on workers that have begun before."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.ceiling import ceiling
from benchmarks.figures import Figure
from benchmarks.installations import GOAL, WAIT_S, fresh
from service.store.db import items, tasks
from tests.study.small import Files
from tests.workers.installation import Installation

PAIRS = 3
GOAL_X, GOAL_SHARE = 1.7, 85.0
LOOK_S = 0.5
"""Between two looks at a study: looking takes time of a processor, too."""
WARM_MACS = 1e6
"""Of a study that every worker gets a task of."""


@dataclass(frozen=True)
class Ran:
    """One study.

    Attributes:
        seconds: From its submission to its end.
        computed: Seconds its items took, over all workers.
    """

    seconds: float
    computed: float


@dataclass(frozen=True)
class Pair:
    """The same study on one worker and on two, one right after the other.

    Attributes:
        one: On one worker.
        two: On two.
        ceiling: How many times as fast two processes that share nothing were, right before.
    """

    one: Ran
    two: Ran
    ceiling: float

    @property
    def ratio(self) -> float:
        """How many times as fast two workers were."""
        return self.one.seconds / self.two.seconds


def fan_out(backend: str, large: Files, small: Files) -> Iterator[Figure]:
    """The figures of one database."""
    pairs = measured_pairs(backend, large, small)
    ratio = _median([pair.ratio for pair in pairs])
    alone, shared = _median([pair.one.seconds for pair in pairs]), _median([pair.two.seconds for pair in pairs])
    busy = _median([pair.two.computed / pair.two.seconds for pair in pairs])
    text = (
        f"{ratio:.2f} x (medians of {len(pairs)} pairs: 1 worker {alone:.1f} s, 2 workers {shared:.1f} s with "
        f"{busy:.2f} evaluators at work on average; two processes that share nothing: "
        f"{_median([pair.ceiling for pair in pairs]):.2f} x)"
    )
    name = f"{backend}: two workers against one"
    yield Figure(name=name, text=text, value=ratio, goal=GOAL_X, unit="x", is_least=True)
    share = _median([100.0 * pair.one.computed / pair.one.seconds for pair in pairs])
    text = f"{share:.0f} % of the time of one worker"
    name = f"{backend}: items of this study"
    yield Figure(name=name, text=text, value=share, goal=GOAL_SHARE, unit="%", is_least=True)


def measured_pairs(backend: str, large: Files, small: Files) -> Sequence[Pair]:
    """Pairs of runs, on workers that stay."""
    with fresh(backend, heartbeat_s=5.0, dead_s=45.0) as one, fresh(backend, heartbeat_s=5.0, dead_s=45.0) as two:
        for service, n_workers in ((one, 1), (two, 2)):
            service.start(n_workers)
            service.wait_for_workers(n_workers)
            warm(service, small, n_workers)
        return [Pair(ran(one, large), ran(two, large), ceiling(large.model)) for _ in range(PAIRS)]


def warm(service: Installation, small: Files, n_workers: int) -> None:
    """Let every worker compute something."""
    seen: set[str | None] = set()
    while len(seen) < n_workers:
        study = service.submit(small, goal=GOAL, search={"strategy": "auto", "task_macs": WARM_MACS})
        assert service.wait(study, WAIT_S).state == "succeeded"
        with service.database.reading() as c:
            seen |= {task.worker for task in tasks.listing(c, study)}


def ran(service: Installation, files: Files) -> Ran:
    """Run a study with the settings that users get; its end is what the database says, looked for now and then only."""
    begun = time.time()
    study = service.submit(files, goal=GOAL, search={"strategy": "auto"})
    row = service.wait(study, WAIT_S, poll_s=LOOK_S)
    assert row.finished is not None
    seconds = row.finished.timestamp() - begun
    assert (row.state, row.outcome) == ("succeeded", "met"), row.error
    with service.database.reading() as c:
        computed = sum(result.seconds for result in items.read(c, study).values())
        assert items.count_by_kind(c, study).get("sensitivity"), "this study decides nothing"
    return Ran(seconds, computed)


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)
