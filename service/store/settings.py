"""What the server, the workers and the maintenance commands are configured with.

Every value has an environment variable ``BITBUDGET_<NAME>``; an option of the command line wins over it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from service.log_lines import Format, Level

PREFIX = "BITBUDGET_"
KIB, MIB, GIB = 2**10, 2**20, 2**30

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Days = Annotated[float, Field(ge=0)]
ConnectionName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class SettingsError(Exception):
    """A setting is unknown or has a value that cannot be used; the message names it and the way out."""


class LocalConnection(BaseModel):
    """A directory of the server that studies may read from: ``connection://name/path below it``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local"]
    path: Path

    @model_validator(mode="after")
    def _is_absolute(self) -> LocalConnection:
        if not self.path.is_absolute():
            raise ValueError(f"path must be absolute, got {str(self.path)!r}")
        return self


class S3Connection(BaseModel):
    """A bucket of an S3-compatible store that studies may read from, through fsspec."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["s3"]
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,62}$")]
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None


Connection = Annotated[LocalConnection | S3Connection, Field(discriminator="kind")]


class Settings(BaseModel):
    """One process's view of the installation.

    Attributes:
        data_dir: Holds ``blobs/``, ``scratch/`` and, unless ``database_url`` says otherwise, ``bitbudget.sqlite``.
        database_url: SQLAlchemy URL of SQLite or PostgreSQL; empty = the SQLite file in ``data_dir``.
        host: Address the server listens on; anything but loopback is a decision of the administrator.
        port: TCP port of the server.
        public_url: How users reach the server, for links and the Origin check; empty = taken from the request.
        max_model_bytes: Model file and external data together.
        max_dataset_bytes: All files of a data set together.
        max_json_bytes: Body of any request but an upload.
        max_queued_studies: Studies of a tenant that have not ended.
        max_running_studies: Studies of a tenant that run at once; None sets no limit.
        max_day_seconds: Evaluator seconds of a tenant in a day (UTC); None sets no limit.
        max_streams_per_key: Event streams open at once.
        requests_per_s: Per key, on average.
        request_burst: Per key, at once.
        evaluator_memory_bytes: Address space of one evaluator process.
        evaluator_cpu_s: Processor time of one item.
        evaluator_wall_s: Wall time of one item.
        study_wall_s: Wall time of a study; one that asks for less gets less.
        max_search_s: Search time of a study, after which it delivers the best found; None sets no limit.
        max_threads: Threads inside operators, of one evaluator.
        max_priority: The highest priority that a submission may have within its tenant.
        slots: Evaluations a worker runs at once.
        heartbeat_s: How often a worker says that it is alive.
        dead_s: Silence after which others take over its work.
        drain_s: How long a worker may go on after SIGTERM.
        max_evaluator_deaths: A study that kills its evaluator as often has failed.
        blob_grace_hours: How long a blob that nothing refers to is kept, twice: until condemned, then until deleted.
        dataset_days: Models and data sets are forgotten so long after their last use, unless pinned.
        intermediate_days: Arrays of finished studies are deleted after this time; the results stay.
        study_days: Ended studies are deleted after this time; None keeps them.
        idempotency_hours: How long the answer to an Idempotency-Key is kept.
        session_hours: Life of a login.
        database_pool: Connections of one process to PostgreSQL.
        connections: Named places that studies may read from.
        webhooks: Whether webhooks may be registered and are sent.
        webhook_networks: Private networks that webhooks may go to, also without TLS.
        tenant_quota_bytes: What a tenant may store; None sets no limit.
        log_format: ``json``, ``text``, or ``auto``: text on a terminal, JSON lines everywhere else.
        log_level: The least that is written.
        upkeep_s: How often a worker forgets what is past its time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Path("bitbudget-data")
    database_url: str = Field(default="", repr=False)
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    public_url: str = ""

    max_model_bytes: Count = 4 * GIB
    max_dataset_bytes: Count = 20 * GIB
    max_json_bytes: Count = MIB
    max_queued_studies: Count = 100
    max_running_studies: Count | None = None
    max_day_seconds: Positive | None = None
    max_streams_per_key: Count = 5
    requests_per_s: Positive = 50.0
    request_burst: Count = 200

    evaluator_memory_bytes: Count = 16 * GIB
    evaluator_cpu_s: Positive = 3600.0
    evaluator_wall_s: Positive = 3600.0
    study_wall_s: Positive = 86400.0
    max_search_s: Positive | None = None
    max_threads: Count = 16
    max_priority: Annotated[int, Field(ge=-1000, le=1000)] = 100
    slots: Count = 1
    heartbeat_s: Positive = 5.0
    dead_s: Positive = 45.0
    drain_s: Positive = 60.0
    max_evaluator_deaths: Count = 3

    blob_grace_hours: Days = 24.0
    dataset_days: Days = 30.0
    intermediate_days: Days = 14.0
    study_days: Days | None = None
    idempotency_hours: Days = 24.0
    session_hours: Positive = 12.0

    database_pool: Annotated[int, Field(ge=1, le=10)] = 5
    connections: Mapping[ConnectionName, Connection] = Field(default_factory=dict)
    webhooks: bool = False
    webhook_networks: tuple[IPvAnyNetwork, ...] = ()
    tenant_quota_bytes: Count | None = None
    log_format: Format = "auto"
    log_level: Level = "info"
    upkeep_s: Positive = 3600.0

    @field_validator("webhook_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """A variable of the environment holds them with commas."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _silence_is_longer_than_a_heartbeat(self) -> Settings:
        if self.dead_s < 2 * self.heartbeat_s:
            raise ValueError(f"dead_s is {self.dead_s:g}, it must be at least twice heartbeat_s ({self.heartbeat_s:g})")
        return self

    @property
    def database(self) -> str:
        """The database URL with its default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.absolute() / 'bitbudget.sqlite'}"

    @property
    def blobs_dir(self) -> Path:
        """Where blobs lie."""
        return self.data_dir.absolute() / "blobs"

    @property
    def scratch_dir(self) -> Path:
        """Where evaluators get their private directories."""
        return self.data_dir.absolute() / "scratch"

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Read ``BITBUDGET_*``; ``BITBUDGET_CONNECTIONS`` is the path of a YAML file ``{name: {kind: ..., ...}}``.

        A name ending in ``_FILE`` is a file that holds the value, as container platforms give secrets.

        Args:
            environment: Where to read; the process environment if None.
            overrides: Options of the command line; None means not given.

        Raises:
            SettingsError: If a variable is unknown, a file cannot be read or a value cannot be used.
        """
        found = _environment(os.environ if environment is None else environment)
        found.update({name: value for name, value in overrides.items() if value is not None})
        if isinstance(found.get("connections"), str):
            found["connections"] = _read_connections(Path(found["connections"]))
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            raise SettingsError(_explain(error)) from None


_ELSEWHERE = frozenset({"url", "api_key", "ca_bundle"})
"""Variables of the client, which share the prefix."""


def _environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name.removesuffix("_file") in _ELSEWHERE:
            continue
        is_file = name.endswith("_file")
        found[name.removesuffix("_file")] = _read(Path(value), variable).rstrip("\r\n") if is_file else value
    return found


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable} names {str(path)!r}, which cannot be read: {error}.") from None


def _read_connections(path: Path) -> Any:
    try:
        return yaml.safe_load(_read(path, f"{PREFIX}CONNECTIONS")) or {}
    except yaml.YAMLError as error:
        raise SettingsError(f"The connections file {str(path)!r} is not valid YAML: {error}.") from None


def _explain(error: ValidationError) -> str:
    """All problems in one line, without the values: a value may be a secret."""
    problems = []
    for problem in error.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in problem["loc"])
        text = "there is no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
        problems.append(f"{PREFIX}{name.upper()}: {text}" if name else text)
    return "; ".join(problems) + ". See docs/deploy.md for all settings."
