"""The tables. Every row that belongs to a customer has ``tenant_id``; ``items`` is the truth a study is replayed from.

JSON is stored as text on both databases, never as JSONB: that would turn ``2e10`` into an integer and change digests.
``migrations/`` follows this file; ``alembic check`` finds a difference.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, UniqueConstraint

from service.store.db.columns import UtcTime, now

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

STUDY_STATES = ("queued", "running", "paused", "succeeded", "failed", "cancelling", "cancelled")
TERMINAL = ("succeeded", "failed", "cancelled")
OUTCOMES = ("met", "not_met", "not_evaluated")
TASK_STATES = ("queued", "running", "succeeded", "failed", "cancelled")
WORKER_STATES = ("active", "draining", "stopped")
BLOB_STATES = ("live", "condemned", "deleting")
HOLDERS = ("model", "dataset", "input", "item", "artifact")
DELIVERY_STATES = ("pending", "delivered", "failed")
SCOPES = ("metrics", "read", "submit", "admin", "operator")

Identity = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts up by itself only for INTEGER


def _id() -> Column[str]:
    return Column("id", sa.String(36), primary_key=True)


def _tenant() -> Column[str]:
    return Column("tenant_id", sa.String(36), ForeignKey("tenants.id"), nullable=False)


def _digest(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, sa.String(64), nullable=nullable)


def _time(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, UtcTime, nullable=nullable)


def _created() -> Column[object]:
    return Column("created", UtcTime, nullable=False, default=now())


def _json(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, sa.JSON(none_as_null=True), nullable=nullable)


def _study(*, primary: bool = False) -> Column[str]:
    key = ForeignKey("studies.id", ondelete="CASCADE")
    return Column("study_id", sa.String(36), key, primary_key=primary, nullable=False)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


tenants = Table(
    "tenants",
    metadata,
    _id(),
    Column("name", sa.Text, nullable=False, unique=True),
    Column("weight", sa.Double, nullable=True),  # null: the default of the settings, here and below
    Column("max_running", sa.Integer, nullable=True),
    Column("max_queued", sa.Integer, nullable=True),
    Column("day_seconds", sa.Double, nullable=True),
    _created(),
)

# No foreign keys: a transaction that chooses the next study must not wait for one that holds a tenant's row.
tenant_turns = Table(
    "tenant_turns",
    metadata,
    Column("tenant_id", sa.String(36), primary_key=True),
    Column("last_start", sa.Double, nullable=False),
)

tenant_days = Table(
    "tenant_days",
    metadata,
    Column("tenant_id", sa.String(36), primary_key=True),
    Column("day", sa.String(10), primary_key=True),
    Column("seconds", sa.Double, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    _id(),
    _tenant(),
    Column("prefix", sa.String(32), nullable=False, unique=True),  # the part that may be shown
    Column("secret_sha256", sa.String(64), nullable=False),
    Column("name", sa.Text, nullable=False),
    _json("scopes"),
    _created(),
    _time("expires"),
    _time("revoked"),
    _time("last_used"),
    Index(None, "tenant_id", "id"),
)

sessions = Table(
    "sessions",
    metadata,
    _id(),
    _tenant(),
    Column("key_id", sa.String(36), ForeignKey("keys.id", ondelete="CASCADE"), nullable=False),
    Column("token_sha256", sa.String(64), nullable=False, unique=True),
    _created(),
    _time("expires", nullable=False),
    _time("revoked"),
    Index(None, "key_id"),
)

blobs = Table(
    "blobs",
    metadata,
    Column("digest", sa.String(64), primary_key=True),
    Column("size", sa.BigInteger, nullable=False),
    Column("state", sa.String(16), nullable=False),
    _created(),
    _time("last_used", nullable=False),
    _time("condemned"),
    _one_of("state", BLOB_STATES),
    CheckConstraint("size >= 0", name="size"),
    Index(None, "state", "last_used"),
)

blob_owners = Table(  # whose upload it was: another tenant's blob answers like an unknown one
    "blob_owners",
    metadata,
    Column("tenant_id", sa.String(36), ForeignKey("tenants.id"), primary_key=True),
    Column("digest", sa.String(64), ForeignKey("blobs.digest", ondelete="CASCADE"), primary_key=True),
    _created(),
    Index(None, "digest"),
)

blob_refs = Table(  # what needs a blob; the foreign key keeps a needed blob's row from being deleted
    "blob_refs",
    metadata,
    Column("digest", sa.String(64), ForeignKey("blobs.digest", ondelete="RESTRICT"), primary_key=True),
    Column("holder", sa.String(16), primary_key=True),
    Column("holder_id", sa.String(36), primary_key=True),
    _one_of("holder", HOLDERS),
    Index(None, "holder_id", "holder"),
)


def _collection(name: str, *special: Column[str]) -> Table:
    return Table(
        name,
        metadata,
        _id(),
        _tenant(),
        Column("name", sa.Text, nullable=True),
        *special,
        _json("files"),
        Column("size", sa.BigInteger, nullable=False),
        Column("pinned", sa.Boolean, nullable=False, default=False),
        _created(),
        _time("last_used", nullable=False),
        Index(None, "tenant_id", "id"),
    )


models = _collection("models", _digest("digest"))  # digest = the .onnx file, files = its external data by path
datasets = _collection("datasets")

studies = Table(
    "studies",
    metadata,
    _id(),
    _tenant(),
    Column("name", sa.Text, nullable=True),
    Column("state", sa.String(16), nullable=False),
    Column("phase", sa.Text, nullable=True),
    _json("progress", nullable=True),
    Column("outcome", sa.String(16), nullable=True),
    Column("stopped", sa.String(16), nullable=True),
    Column("priority", sa.Integer, nullable=False, default=0),
    Column("dispatched", sa.Boolean, nullable=False, default=False, server_default=sa.true()),
    _json("spec"),
    _json("problem", nullable=True),
    _digest("spec_digest"),
    Column("target", sa.Text, nullable=False),
    _json("limits"),
    Column("timeout_s", sa.Double, nullable=True),
    _json("error", nullable=True),
    _json("result", nullable=True),
    Column("seconds", sa.Double, nullable=False, default=0.0),
    Column("attempts", sa.Integer, nullable=False, default=0),
    Column("version", sa.Integer, nullable=False, default=1),
    Column("submitted_by", sa.String(36), nullable=True),
    _created(),
    _time("started"),
    _time("finished"),
    _one_of("state", STUDY_STATES),
    CheckConstraint("outcome IS NULL OR state = 'succeeded' OR state = 'cancelled'", name="outcome"),
    Index(None, "tenant_id", "id"),
    Index(None, "tenant_id", "state", "id"),
    Index(None, "tenant_id", "state", "dispatched", "priority", "id"),
    Index(None, "state", "finished"),
)

tasks = Table(
    "tasks",
    metadata,
    _study(primary=True),
    Column("no", sa.Integer, primary_key=True, autoincrement=False),
    _tenant(),
    _digest("digest"),
    Column("kind", sa.String(32), nullable=False),
    Column("label", sa.Text, nullable=False),
    Column("n_items", sa.Integer, nullable=False),
    Column("state", sa.String(16), nullable=False),
    Column("attempt", sa.Integer, nullable=False, default=0),
    Column("worker", sa.String(128), nullable=True),
    _json("payload", nullable=True),
    _json("error", nullable=True),
    _created(),
    _time("started"),
    _time("finished"),
    _one_of("state", TASK_STATES),
    UniqueConstraint("study_id", "digest"),
)

items = Table(
    "items",
    metadata,
    _study(primary=True),
    Column("digest", sa.String(64), primary_key=True),
    _tenant(),
    Column("no", sa.Integer, nullable=False),
    Column("kind", sa.String(32), nullable=False),
    _json("data"),
    _json("blobs"),
    Column("seconds", sa.Double, nullable=False),
    Column("reused", sa.Boolean, nullable=False, default=False),
    _created(),
    Index(None, "study_id", "no"),
)

trials = Table(
    "trials",
    metadata,
    _study(primary=True),
    Column("no", sa.Integer, primary_key=True, autoincrement=False),
    _tenant(),
    _digest("digest"),
    Column("stage", sa.Text, nullable=False),
    Column("role", sa.String(32), nullable=False, server_default="candidate"),
    Column("verdict", sa.String(32), nullable=False),
    Column("cost", sa.Double, nullable=False),
    Column("ratio", sa.Double, nullable=True),
    Column("requested", sa.String(64), nullable=False, server_default=""),
    Column("effective", sa.String(64), nullable=False, server_default=""),
    _json("seen"),
    Column("estimates", sa.JSON(none_as_null=True), nullable=False, server_default="{}"),
    Column("n_run", sa.Integer, nullable=False),
    Column("n_samples", sa.Integer, nullable=True),
    Column("seconds", sa.Double, nullable=False),
    Column("why", sa.Text, nullable=False),
    _json("detail", nullable=True),
    _created(),
    Index(None, "study_id", "cost", "no"),
    Index(None, "study_id", "verdict", "no"),
)

events = Table(
    "events",
    metadata,
    Column("id", Identity, primary_key=True),
    _study(),
    _tenant(),
    Column("kind", sa.String(32), nullable=False),
    _json("data"),
    _created(),
    Index(None, "study_id", "id"),
    Index(None, "tenant_id", "id"),
    sqlite_autoincrement=True,  # an id is never given twice, also after a deletion
)

artifacts = Table(
    "artifacts",
    metadata,
    _study(primary=True),
    Column("name", sa.String(512), primary_key=True),
    _tenant(),
    Column("digest", sa.String(64), ForeignKey("blobs.digest"), nullable=False),
    Column("size", sa.BigInteger, nullable=False),
    Column("media_type", sa.Text, nullable=False),
    _created(),
    Index(None, "digest"),
)

workers = Table(
    "workers",
    metadata,
    Column("executor_id", sa.String(128), primary_key=True),
    Column("host", sa.Text, nullable=False),
    Column("pid", sa.Integer, nullable=False),
    Column("version", sa.Text, nullable=False),
    Column("slots", sa.Integer, nullable=False),
    Column("state", sa.String(16), nullable=False),
    _json("detail", nullable=True),
    Column("started", UtcTime, nullable=False, default=now()),
    _time("seen", nullable=False),
    _one_of("state", WORKER_STATES),
)

audit = Table(  # append-only, outlives what it tells of: no foreign keys
    "audit",
    metadata,
    Column("id", Identity, primary_key=True),
    Column("tenant_id", sa.String(36), nullable=True),
    Column("actor", sa.Text, nullable=False),
    Column("action", sa.Text, nullable=False),
    Column("object", sa.Text, nullable=True),
    Column("request_id", sa.Text, nullable=True),
    _json("data", nullable=True),
    _created(),
    Index(None, "tenant_id", "id"),
    sqlite_autoincrement=True,
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant_id", sa.String(36), ForeignKey("tenants.id"), primary_key=True),
    Column("route", sa.String(128), primary_key=True),
    Column("key", sa.String(255), primary_key=True),
    Column("body_sha256", sa.String(64), nullable=False),
    Column("status", sa.Integer, nullable=True),
    _json("headers", nullable=True),
    _json("body", nullable=True),
    _created(),
    Index(None, "created"),
)

webhooks = Table(
    "webhooks",
    metadata,
    _id(),
    _tenant(),
    Column("url", sa.Text, nullable=False),
    _json("secrets"),  # newest first; two while a secret is changed
    _json("kinds"),  # events it wants; empty = all
    Column("active", sa.Boolean, nullable=False, default=True),
    _created(),
    Index(None, "tenant_id", "id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    _id(),
    Column("webhook_id", sa.String(36), ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    _tenant(),
    Column("kind", sa.String(32), nullable=False),
    _json("payload"),
    Column("state", sa.String(16), nullable=False),
    Column("attempts", sa.Integer, nullable=False, default=0),
    Column("status", sa.Integer, nullable=True),
    Column("error", sa.Text, nullable=True),
    _created(),
    _time("due", nullable=False),
    _time("finished"),
    _one_of("state", DELIVERY_STATES),
    Index(None, "state", "due"),
    Index(None, "webhook_id", "id"),
)
