"""A study: how it stands, what may be changed of it, what it is expected to take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from search.records.verdict import Outcome
from service.contract.constraints import Name, Whole
from service.contract.message import Answer, Body, Values

State = Literal["queued", "running", "paused", "succeeded", "failed", "cancelling", "cancelled"]
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class StudyError(Answer):
    """Why a study failed: `blame` says who must act."""

    code: str
    blame: str
    message: str
    hint: str


@dataclass(frozen=True, kw_only=True)
class StudyLine(Answer):
    """A study as a list shows it. `phase` and the keys of `progress` are open: expect ones you do not know.

    `result` is the summary of result.json, once there is one.
    """

    id: str
    name: str | None
    state: State
    phase: str | None
    progress: Values | None
    outcome: Outcome | None
    stopped: str | None
    priority: int
    target: str
    error: StudyError | None
    result: Values | None
    seconds: float
    version: int
    created: datetime
    started: datetime | None
    finished: datetime | None

    @property
    def is_terminal(self) -> bool:
        """Whether it has ended. A state this version does not know has ended if it has an end."""
        return self.state in TERMINAL or self.finished is not None


@dataclass(frozen=True, kw_only=True)
class Study(StudyLine):
    """A study."""

    spec: Values
    spec_digest: str
    limits: Values
    timeout_s: float | None
    attempts: int


@dataclass(frozen=True, kw_only=True)
class StudyChanges(Body):
    """What may be changed of a study; what is not given stays."""

    name: Name | None = None
    priority: Annotated[int, Whole(ge=-(2**31), lt=2**31)] = 0


@dataclass(frozen=True, kw_only=True)
class Interval(Answer):
    """Between which values a number is expected."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Estimate(Answer):
    """What a study is expected to take. An estimate: `basis` says from what."""

    basis: Literal["earlier", "similar", "bounds"]
    n_studies: int
    evaluations: Interval
    seconds: Interval | None
    input_bytes: int
    output_bytes: Interval | None
    waiting: int


@dataclass(frozen=True, kw_only=True)
class DryRun(Answer):
    """A spec that could be submitted: with its defaults filled in, its identity and what it may take."""

    spec: Values
    spec_digest: str
    estimate: Estimate
