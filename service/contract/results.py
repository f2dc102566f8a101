"""What a study has found so far: trials, groups, front, tables, findings, events, files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from search.records.trial import Role
from search.records.verdict import Verdict
from service.contract.message import Answer, Values
from service.contract.studies import Interval

Cell = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class EstimatedValue(Interval):
    """A value of the full set that was not measured, with its 95 % interval."""

    value: float


@dataclass(frozen=True, kw_only=True)
class TrialLine(Answer):
    """One evaluated assignment.

    `seen` has the values over the `n_run` samples that ran, which are the hardest ones where the search sorts them;
    `estimates` what that lets expect of the full set, with a 95 % interval, of trials that were stopped early.
    `intervals` has the 95 % interval of every value of a complete trial that is a share of right samples.
    """

    no: int
    digest: str
    stage: str
    role: Role
    verdict: Verdict
    cost: float
    ratio: float | None
    requested: str
    effective: str
    seen: Mapping[str, float | None]
    estimates: Mapping[str, EstimatedValue]
    intervals: Mapping[str, Interval | None]
    n_run: int
    n_samples: int | None
    seconds: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Trial(TrialLine):
    """One evaluated assignment with its details."""

    detail: Values | None


@dataclass(frozen=True, kw_only=True)
class Group(Answer):
    """Operators that share one decision; `no` is its place in the assignments of trials."""

    no: int
    name: str
    op_type: str
    nodes: tuple[str, ...]
    macs: int


@dataclass(frozen=True, kw_only=True)
class FrontPoint(Answer):
    """A trial that no other beats in both cost and accuracy."""

    trial: int
    cost: float
    values: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Rows(Answer):
    """Rows of a table that a study delivers; empty until it does. `complete` once the study has ended."""

    items: tuple[Mapping[str, Cell], ...]
    next: str | None
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Finding(Answer):
    """Something about the model, the data or the search that the user should know."""

    code: str
    severity: str
    message: str
    advice: str
    evidence: Values


@dataclass(frozen=True, kw_only=True)
class Event(Answer):
    """Something that happened to a study."""

    id: int
    kind: str
    data: Values
    created: datetime


@dataclass(frozen=True, kw_only=True)
class Events(Answer):
    """Events in order; `last` is what to give as `after` next."""

    items: tuple[Event, ...]
    last: int


@dataclass(frozen=True, kw_only=True)
class Artifact(Answer):
    """A file that a study delivered."""

    name: str
    digest: str
    size: int
    media_type: str
    created: datetime
