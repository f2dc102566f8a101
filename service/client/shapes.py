"""What the server answers, as values. What a newer server adds is in ``raw``; texts it invents are let through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Generic, TypeVar

T = TypeVar("T")
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
_MOMENTS = frozenset({"created", "started", "finished", "expires", "revoked", "last_used", "due"})
Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Any answer.

    Attributes:
        raw: The whole JSON object.
    """

    raw: Values = field(repr=False, compare=False, default_factory=dict)


AnswerT = TypeVar("AnswerT", bound=Answer)


def read(kind: type[AnswerT], document: Values) -> AnswerT:
    """Return the value of a JSON object: its known keys, None for those that are missing; nothing is refused."""
    found = {one.name: _value(one.name, document.get(one.name)) for one in fields(kind) if one.name != "raw"}
    return kind(**found, raw=document)


def _value(name: str, value: Any) -> Any:
    if name in _MOMENTS and isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return None
    return value


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list; ``next`` is the cursor of the rest, None at the end."""

    items: tuple[T, ...]
    next: str | None


def page(kind: type[AnswerT], document: Values) -> Page[AnswerT]:
    """Return a part of a list."""
    return Page(tuple(read(kind, one) for one in document.get("items", ())), document.get("next"))


def rows(document: Values) -> Page[Values]:
    """Return a part of a table."""
    return Page(tuple(document.get("items", ())), document.get("next"))


@dataclass(frozen=True, kw_only=True)
class Blob(Answer):
    """Uploaded bytes."""

    digest: str
    size: int
    created: datetime | None


@dataclass(frozen=True, kw_only=True)
class Collection(Answer):
    """A model or data set; ``digest`` and ``files`` are None in lists, ``digest`` also of data sets."""

    id: str
    name: str | None
    size: int
    n_files: int
    pinned: bool
    created: datetime | None
    last_used: datetime | None
    digest: str | None
    files: Mapping[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Target(Answer):
    """A chip; ``document`` is None in lists."""

    name: str
    title: str
    march: str | None
    toolchain_default: str | None
    document: Values | None


@dataclass(frozen=True, kw_only=True)
class StudyLine(Answer):
    """A study as a list shows it; ``state``, ``outcome`` and ``phase`` may have values this version does not know."""

    id: str
    name: str | None
    state: str
    phase: str | None
    progress: Values | None
    outcome: str | None
    stopped: str | None
    priority: int
    target: str
    error: Values | None
    result: Values | None
    seconds: float
    version: int
    created: datetime | None
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
    limits: Values | None
    timeout_s: float | None
    attempts: int


@dataclass(frozen=True, kw_only=True)
class DryRun(Answer):
    """A spec that could be submitted, and an estimate of what it takes."""

    spec: Values
    spec_digest: str
    estimate: Values


@dataclass(frozen=True, kw_only=True)
class Group(Answer):
    """Operators that share one decision; ``no`` is its place in the assignments of trials."""

    no: int
    name: str
    op_type: str
    nodes: tuple[str, ...] | list[str]
    macs: int


@dataclass(frozen=True, kw_only=True)
class Trial(Answer):
    """One evaluated assignment; ``detail`` is None in lists."""

    no: int
    digest: str
    stage: str
    role: str
    verdict: str
    cost: float
    ratio: float | None
    requested: str
    effective: str
    seen: Mapping[str, float | None]
    estimates: Mapping[str, Values]
    intervals: Mapping[str, Values | None]
    n_run: int
    n_samples: int | None
    seconds: float
    why: str
    detail: Values | None


@dataclass(frozen=True, kw_only=True)
class FrontPoint(Answer):
    """A trial that no other beats in both cost and accuracy."""

    trial: int
    cost: float
    values: Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Finding(Answer):
    """What the user should know."""

    code: str
    severity: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Event(Answer):
    """Something that happened to a study."""

    id: int
    kind: str
    data: Values
    created: datetime | None


@dataclass(frozen=True, kw_only=True)
class Artifact(Answer):
    """A delivered file."""

    name: str
    digest: str
    size: int
    media_type: str
    created: datetime | None


@dataclass(frozen=True, kw_only=True)
class Key(Answer):
    """An API key; ``key``, its text, is there only in the answer that made it."""

    id: str
    prefix: str
    name: str
    scopes: tuple[str, ...] | list[str]
    created: datetime | None
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None
    key: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class AuditEntry(Answer):
    """Who did what, when."""

    id: int
    actor: str
    action: str
    object: str | None
    request_id: str | None
    data: Values | None
    created: datetime | None


@dataclass(frozen=True, kw_only=True)
class Status(Answer):
    """How busy the server is."""

    studies: Mapping[str, int]
    waiting_s: float
    workers: int
    slots: int
    disk_free_bytes: int
    disk_total_bytes: int


@dataclass(frozen=True, kw_only=True)
class Worker(Answer):
    """A worker process."""

    executor_id: str
    host: str
    pid: int
    version: str
    slots: int
    state: str
    started: datetime | None
    silent_s: float


@dataclass(frozen=True, kw_only=True)
class NamedPlace(Answer):
    """A named place of the administrator that studies may read from."""

    name: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Webhook(Answer):
    """An address that is told; ``secret`` is there only in the answers that made it."""

    id: str
    url: str
    kinds: tuple[str, ...] | list[str]
    active: bool
    n_secrets: int
    created: datetime | None
    secret: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Delivery(Answer):
    """A message to a webhook."""

    id: str
    kind: str
    payload: Values
    state: str
    attempts: int
    status: int | None
    error: str | None
    created: datetime | None
    due: datetime | None
    finished: datetime | None


Watch = Callable[[Event], None]
"""Is told every event."""
