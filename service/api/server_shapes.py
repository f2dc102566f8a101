"""Bodies and answers about the server itself: keys, audit, workers, limits, health."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from service.api.shapes import Body, Name, Shape
from service.usecases.accounts.principal import Scope


class NewKey(Body):
    """A key to make."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)]
    expires: Annotated[AwareDatetime | None, Field(strict=False)] = None


class KeyShape(Shape):
    """A key, without its secret."""

    id: str
    prefix: str
    name: str
    scopes: list[Scope]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None


class KeyOnce(KeyShape):
    """A key that was just made; `key` is shown only here."""

    key: str


class AuditEntry(Shape):
    """Who did what, when."""

    id: int
    actor: str
    action: str
    object: str | None
    request_id: str | None
    data: dict[str, Any] | None
    created: datetime


class WorkerShape(Shape):
    """A worker process; `silent_s` since its last sign of life."""

    executor_id: str
    host: str
    pid: int
    version: str
    slots: int
    state: str
    started: datetime
    silent_s: float


class Workers(BaseModel):
    """All workers that are known."""

    items: list[WorkerShape]


class Version(BaseModel):
    """What runs here."""

    version: str
    api: str
    job_schema: str


class Limits(BaseModel):
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


class Status(Shape):
    """How busy the server is: the tenant's studies by state, living workers, the disk that holds blobs."""

    studies: dict[str, int]
    waiting_s: float
    workers: int
    slots: int
    disk_free_bytes: int
    disk_total_bytes: int


class Health(BaseModel):
    """Whether a process lives."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """Whether requests can be served; workers are reported, not required."""

    status: Literal["ready", "not ready"]
    database: bool
    schema_is_current: bool
    storage: bool
    workers: int
