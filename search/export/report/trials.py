"""The trials of a search as charts and tables show them: marked as chosen or on the front.

A report stays small: above ``limit`` the trials that carry the argument (chosen, front, bounds) stay, then the first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from search.export.report import text
from search.records.trial import Estimate, Role, TrialRecord


@dataclass(frozen=True, kw_only=True)
class MarkedTrial:
    """A trial with what it is to the whole search."""

    record: TrialRecord
    is_chosen: bool
    is_on_front: bool

    @property
    def no(self) -> int:
        """Its number."""
        return self.record.no

    @property
    def stage(self) -> str:
        """Step of the strategy, in words."""
        return text.words(self.record.stage)

    @property
    def why(self) -> str:
        """What it was for and what decided."""
        return text.sentence(self.record.why)

    @property
    def ratio(self) -> str:
        """Share of the tables it promoted; empty where that is not its meaning."""
        number = text.finite(self.record.ratio)
        return "" if number is None else f"{number:.4g}"

    @property
    def cost(self) -> float | None:
        """In the unit of the result; None where it is no number."""
        return text.finite(self.record.cost)

    @property
    def effort(self) -> str:
        """Samples that were run, out of how many if not all."""
        ran, every = self.record.n_run, self.record.n_samples
        return text.count(ran) if every is None or ran == every else f"{ran:,} of {every:,}"

    @property
    def marks(self) -> tuple[str, ...]:
        """What it is, in words."""
        marks = (("chosen", self.is_chosen), ("front", self.is_on_front), (self.record.role.label, True))
        return tuple(mark for mark, holds in marks if mark and holds)

    def seen(self, goal: str) -> float | None:
        """Value over the samples that ran."""
        return text.finite(self.record.seen.get(goal))

    def estimate(self, goal: str) -> Estimate | None:
        """What is expected of the full set, where it did not run."""
        return self.record.estimates.get(goal)

    def placed(self, goal: str) -> float | None:
        """Where charts draw it: the value of the full set, else its estimate; None where neither exists."""
        return text.finite(self.record.expected(goal))


def marked(
    records: Iterable[TrialRecord], *, chosen: int | None = None, front: Collection[int] = (), limit: int = 1000
) -> tuple[MarkedTrial, ...]:
    """Return the trials in order, at most ``limit`` of them.

    Args:
        records: The trials.
        chosen: Number of the delivered one.
        front: Numbers of those on the front.
        limit: Most trials.
    """
    trials = [
        MarkedTrial(record=record, is_chosen=record.no == chosen, is_on_front=record.no in front) for record in records
    ]
    if len(trials) <= limit:
        return tuple(trials)
    minor = [not (one.is_chosen or one.is_on_front or one.record.role is not Role.CANDIDATE) for one in trials]
    kept = sorted(range(len(trials)), key=lambda index: (minor[index], index))[:limit]
    return tuple(trials[index] for index in sorted(kept))
