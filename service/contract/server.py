"""The server itself: what it is, allows and knows, and how it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from service.contract.message import Answer


@dataclass(frozen=True, kw_only=True)
class Mistake(Answer):
    """One mistake of a request."""

    pointer: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Problem(Answer):
    """Any answer that is not a success (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str
    pointers: tuple[Mistake, ...]
    request_id: str


@dataclass(frozen=True, kw_only=True)
class Worker(Answer):
    """A worker process; `silent_s` since its last sign of life."""

    executor_id: str
    host: str
    pid: int
    version: str
    slots: int
    state: str
    started: datetime
    silent_s: float


@dataclass(frozen=True, kw_only=True)
class NamedPlace(Answer):
    """A place of the administrator that studies may read from."""

    name: str
    kind: Literal["local", "s3"]


@dataclass(frozen=True, kw_only=True)
class Version(Answer):
    """What runs here."""

    version: str
    api: str
    job_schema: str


@dataclass(frozen=True, kw_only=True)
class Limits(Answer):
    """What a tenant or key may use."""

    max_model_bytes: int
    max_dataset_bytes: int
    max_json_bytes: int
    max_queued_studies: int
    max_streams_per_key: int
    requests_per_s: float
    request_burst: int
    evaluator_memory_bytes: int
    evaluator_wall_s: float
    study_wall_s: float
    tenant_quota_bytes: int | None
    stored_bytes: int


@dataclass(frozen=True, kw_only=True)
class Status(Answer):
    """How busy the server is: the tenant's studies by state, living workers, the disk that holds blobs."""

    studies: Mapping[str, int]
    waiting_s: float
    workers: int
    slots: int
    disk_free_bytes: int
    disk_total_bytes: int


@dataclass(frozen=True, kw_only=True)
class Health(Answer):
    """Whether a process lives."""

    status: Literal["ok"]


@dataclass(frozen=True, kw_only=True)
class Readiness(Answer):
    """Whether requests can be served; workers are reported, not required."""

    status: Literal["ready", "not ready"]
    database: bool
    schema_is_current: bool
    storage: bool
    workers: int
