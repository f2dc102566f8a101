"""The bodies that go out and come in, as OpenAPI shows them. Those that go out have no defaults: all is there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from search.records.trial import Role
from search.records.verdict import Outcome, Verdict

RowT = TypeVar("RowT")
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
RelativePath = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Values = Mapping[str, Any]
State = Literal["queued", "running", "paused", "succeeded", "failed", "cancelling", "cancelled"]


class Body(BaseModel):
    """A body that comes in: nothing is converted, nothing unknown is let pass."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Shape(BaseModel):
    """A body that goes out, read from a row."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class PageOf(BaseModel, Generic[RowT]):
    """A part of a list; `next` is the cursor of the rest, null at the end."""

    items: list[RowT]
    next: str | None


class PointerShape(Shape):
    """One mistake of a request."""

    pointer: str
    message: str


class Problem(Shape):
    """Any answer that is not a success (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str
    pointers: list[PointerShape]
    request_id: str


class BlobShape(Shape):
    """A blob of the tenant."""

    digest: str
    size: int
    created: datetime


class NewModel(Body):
    """A model: its file, and its external data by path."""

    name: Name | None = None
    digest: Digest
    files: dict[RelativePath, Digest] = Field(default_factory=dict, max_length=100_000)


class NewDataset(Body):
    """A data set of many files."""

    name: Name | None = None
    files: Annotated[dict[RelativePath, Digest], Field(min_length=1, max_length=100_000)]


class Pinned(Body):
    """Whether a model or data set is kept however long it is not used."""

    pinned: bool


class SetLine(Shape):
    """A model or data set as a list shows it."""

    id: str
    name: str | None
    size: int
    n_files: int
    pinned: bool
    created: datetime
    last_used: datetime


class ModelShape(SetLine):
    """A model."""

    digest: str
    files: dict[str, str]


class DatasetShape(SetLine):
    """A data set."""

    files: dict[str, str]


class TargetLine(Shape):
    """A chip as a list shows it."""

    name: str
    title: str
    march: str | None
    toolchain_default: str | None


class TargetShape(TargetLine):
    """A chip with its rules, as docs/targets.md describes them."""

    document: dict[str, Any]


class StudyError(Shape):
    """Why a study failed: `blame` says who must act."""

    model_config = ConfigDict(from_attributes=True, frozen=True, extra="allow")

    code: str
    blame: str
    message: str
    hint: str


class StudyLineShape(Shape):
    """A study as a list shows it. `phase` and the keys of `progress` are open: expect ones you do not know.

    `result` is the summary of result.json, once there is one.
    """

    id: str
    name: str | None
    state: State
    phase: str | None
    progress: dict[str, Any] | None
    outcome: Outcome | None
    stopped: str | None
    priority: int
    target: str
    error: StudyError | None
    result: dict[str, Any] | None
    seconds: float
    version: int
    created: datetime
    started: datetime | None
    finished: datetime | None


class StudyShape(StudyLineShape):
    """A study."""

    spec: dict[str, Any]
    spec_digest: str
    limits: dict[str, Any]
    timeout_s: float | None
    attempts: int


class StudyChanges(Body):
    """What may be changed of a study; what is not given stays."""

    name: Name | None = None
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0


class RangeShape(Shape):
    """Between which values a number is expected."""

    low: float
    high: float


class EstimateShape(Shape):
    """What a study is expected to take. An estimate: `basis` says from what."""

    basis: Literal["earlier", "similar", "bounds"]
    n_studies: int
    evaluations: RangeShape
    seconds: RangeShape | None
    input_bytes: int
    output_bytes: RangeShape | None
    waiting: int


class DryRun(Shape):
    """A spec that could be submitted: with its defaults filled in, its identity and what it may take."""

    spec: dict[str, Any]
    spec_digest: str
    estimate: EstimateShape


class EstimatedValue(RangeShape):
    """A value of the full set that was not measured, with its 95 % interval."""

    value: float


class TrialLine(Shape):
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
    seen: dict[str, float | None]
    estimates: dict[str, EstimatedValue]
    intervals: dict[str, RangeShape | None]
    n_run: int
    n_samples: int | None
    seconds: float
    why: str


class TrialShape(TrialLine):
    """One evaluated assignment with its details."""

    detail: dict[str, Any] | None


class GroupShape(Shape):
    """Operators that share one decision; `no` is its place in the assignments of trials."""

    no: int
    name: str
    op_type: str
    nodes: list[str]
    macs: int


class Groups(BaseModel):
    """All groups of the network; none before the model was checked."""

    items: list[GroupShape]


class FrontPoint(Shape):
    """A trial that no other beats in both cost and accuracy."""

    trial: int
    cost: float
    values: dict[str, float | None]


class Front(BaseModel):
    """The front so far; `complete` once the study has ended."""

    items: list[FrontPoint]
    complete: bool


class Rows(BaseModel):
    """Rows of a table that a study delivers; empty until it does. `complete` once the study has ended."""

    items: list[dict[str, str | int | float | bool | None]]
    next: str | None
    complete: bool


class FindingShape(Shape):
    """Something about the model, the data or the search that the user should know."""

    code: str
    severity: str
    message: str
    advice: str
    evidence: dict[str, Any]


class Findings(BaseModel):
    """All findings; `complete` once the study has ended."""

    items: list[FindingShape]
    complete: bool


class EventShape(Shape):
    """Something that happened to a study."""

    id: int
    kind: str
    data: dict[str, Any]
    created: datetime


class Events(BaseModel):
    """Events in order; `last` is what to give as `after` next."""

    items: list[EventShape]
    last: int


class ArtifactShape(Shape):
    """A file that a study delivered."""

    name: str
    digest: str
    size: int
    media_type: str
    created: datetime


class Artifacts(BaseModel):
    """All files of a study by name."""

    items: list[ArtifactShape]
