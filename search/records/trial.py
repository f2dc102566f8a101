"""A trial as it is written: one assignment, what it costs, what was seen of it and what that lets expect.

``seen`` and ``estimates`` are never mixed. A value that was *seen* is over the ``n_run`` samples that ran, which are
the hardest ones where the search sorts them; only of a complete trial is it the value of the full set. An *estimate*
speaks of the full set and has an interval of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from search.records.verdict import Verdict


class Role(StrEnum):
    """What an assignment is to the search."""

    ALL_LOW = "all_low"  #: every group as low as the chip rules let it
    ALL_HIGH = "all_high"  #: every group as high as they let it
    CANDIDATE = "candidate"

    @property
    def label(self) -> str:
        """The word for people; none for a candidate."""
        return "" if self is Role.CANDIDATE else self.value.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value of the full set that was not measured.

    Attributes:
        value: Expected.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One evaluated assignment.

    Attributes:
        no: Number in the study, from 1.
        digest: Of the effective configuration, 64 digits.
        stage: Step of the strategy that proposed it.
        role: What it is to the search.
        ratio: Share of the tables it promoted, where that is its meaning.
        requested: Digest of the requested assignment, 12 digits.
        effective: Digest of the assignment after the chip rules, 12 digits.
        cost: In the unit of the result: the cost index, or microseconds of a fitted target.
        n_run: Evaluation samples that ran.
        n_samples: Samples of the full set; None where it is not known.
        seen: Goal id to value over the samples that ran, None where it has none.
        estimates: Goal id to the estimate for the full set; none of a complete trial, or where nothing can be said.
        verdict: How it ended.
        why: What it was for and what decided, in sentences.
        seconds: Time it took, the one field that differs between equal runs.
    """

    no: int
    digest: str
    stage: str
    role: Role = Role.CANDIDATE
    ratio: float | None
    requested: str = ""
    effective: str = ""
    cost: float
    n_run: int
    n_samples: int | None = None
    seen: Mapping[str, float | None]
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    verdict: Verdict
    why: str
    seconds: float

    @property
    def is_complete(self) -> bool:
        """Whether what was seen is the full set."""
        return self.verdict.is_complete

    def expected(self, goal: str) -> float | None:
        """Value of the full set: as seen where it is complete, else the estimate; None where neither exists."""
        if self.is_complete:
            return self.seen.get(goal)
        found = self.estimates.get(goal)
        return None if found is None else found.value
