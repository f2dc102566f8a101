"""Files a study delivers, by name; the content is a blob."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db import blobs
from service.store.db.schema import artifacts
from service.store.db.writing import upsert


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One delivered file; ``digest`` is its blob, ``size`` in bytes."""

    study_id: str
    name: str
    tenant_id: str
    digest: str
    size: int
    media_type: str
    created: datetime


def put(
    connection: Connection, *, study_id: str, tenant_id: str, name: str, digest: str, size: int, media_type: str
) -> None:
    """Deliver a file, or another content under its name; the blob must be there.

    Raises:
        MissingBlobError: If it is not there or not the tenant's.
    """
    blobs.refer(connection, tenant_id, "artifact", study_id, [digest])
    row = {"study_id": study_id, "name": name, "tenant_id": tenant_id, "digest": digest, "size": size}
    upsert(connection, artifacts, [{**row, "media_type": media_type}], keep=("created",))


def get(connection: Connection, tenant_id: str, study_id: str, name: str) -> Artifact | None:
    """Return one file of a study of the tenant."""
    row = connection.execute(_of(tenant_id, study_id).where(artifacts.c.name == name)).mappings().one_or_none()
    return None if row is None else Artifact(**row)


def listing(connection: Connection, tenant_id: str, study_id: str) -> tuple[Artifact, ...]:
    """Return all files of a study of the tenant by name."""
    rows = connection.execute(_of(tenant_id, study_id).order_by(artifacts.c.name)).mappings()
    return tuple(Artifact(**row) for row in rows)


def _of(tenant_id: str, study_id: str) -> sa.Select[tuple[object, ...]]:
    return sa.select(artifacts).where(artifacts.c.study_id == study_id, artifacts.c.tenant_id == tenant_id)
