"""Blobs as the database knows them: who uploaded one, what needs it, and how far its deletion has come.

    live -> condemned -> deleting -> (no row)

A condemned blob is live again as soon as somebody refers to it or uploads it; one that is being deleted is gone for
everybody, and only a new upload brings it back. Every step locks the blob's row, so that a reference and a deletion
exclude each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db.columns import now
from service.store.db.errors import MissingBlobError
from service.store.db.schema import TERMINAL, blob_owners, blob_refs, blobs, studies
from service.store.db.writing import insert_missing, upsert

Holder = Literal["model", "dataset", "input", "item", "artifact"]
"""What kind of row needs a blob; for the last three the row is a study."""

_CHUNK = 500  # bound variables per statement; SQLite takes 32,766
_is_needed = sa.exists().where(blob_refs.c.digest == blobs.c.digest)


@dataclass(frozen=True, kw_only=True)
class Blob:
    """One file by content; ``size`` in bytes."""

    digest: str
    size: int
    state: str
    created: datetime
    last_used: datetime


def put(connection: Connection, tenant_id: str, digest: str, size: int) -> None:
    """Say that a blob is there and whose it is; it is live afterwards, whatever it was.

    The row stays locked until the transaction ends: put the file into its place before that.
    """
    row = {"digest": digest, "size": size, "state": "live", "last_used": now(), "condemned": None}
    upsert(connection, blobs, [row], keep=("created",))
    insert_missing(connection, blob_owners, {"tenant_id": tenant_id, "digest": digest})


def find(connection: Connection, tenant_id: str, digest: str) -> Blob | None:
    """Return a blob of the tenant; another tenant's is not there."""
    row = connection.execute(_of_tenant(tenant_id).where(blobs.c.digest == digest)).mappings().one_or_none()
    return None if row is None else Blob(**row)


def claim(connection: Connection, tenant_id: str, digest: str) -> bool:
    """Note a use of a blob of the tenant, so that it stays for another grace time; False if there is none."""
    try:
        _lock(connection, tenant_id, [digest])
    except MissingBlobError:
        return False
    return True


def refer(connection: Connection, tenant_id: str, holder: Holder, holder_id: str, digests: Iterable[str]) -> None:
    """Say that a row needs blobs of its tenant; none of them is deleted until ``release``.

    Raises:
        MissingBlobError: If some are not there or not the tenant's; nothing was changed.
    """
    wanted = sorted(set(digests))  # one order for all, so that two of them never wait for each other
    _lock(connection, tenant_id, wanted)
    for digest in wanted:
        insert_missing(connection, blob_refs, {"digest": digest, "holder": holder, "holder_id": holder_id})


def release(connection: Connection, holders: Collection[Holder], holder_id: str) -> int:
    """Say that a row needs none of its blobs any more; return how many there were."""
    mine = sa.and_(blob_refs.c.holder_id == holder_id, blob_refs.c.holder.in_(holders))
    return connection.execute(blob_refs.delete().where(mine)).rowcount


def needed_by(connection: Connection, holder_id: str) -> frozenset[str]:
    """Digests that a row needs, in whichever role."""
    return frozenset(connection.scalars(sa.select(blob_refs.c.digest).where(blob_refs.c.holder_id == holder_id)))


def made_by(connection: Connection, study_id: str) -> int:
    """Bytes of the blobs that a study has made and still holds."""
    mine = sa.and_(blob_refs.c.holder_id == study_id, blob_refs.c.holder.in_(("item", "artifact")))
    made = sa.select(blob_refs.c.digest).where(mine).distinct().scalar_subquery()
    query = sa.select(sa.func.coalesce(sa.func.sum(blobs.c.size), 0)).where(blobs.c.digest.in_(made))
    return int(connection.scalar(query) or 0)


def usage(connection: Connection, tenant_id: str) -> int:
    """Bytes of all blobs of a tenant."""
    return int(
        connection.scalar(sa.select(sa.func.coalesce(sa.func.sum(_of_tenant(tenant_id).subquery().c.size), 0))) or 0
    )


def totals(connection: Connection) -> Mapping[str, tuple[int, int]]:
    """Number and bytes of blobs by state."""
    query = sa.select(blobs.c.state, sa.func.count(), sa.func.coalesce(sa.func.sum(blobs.c.size), 0))
    return {state: (count, int(size)) for state, count, size in connection.execute(query.group_by(blobs.c.state))}


def sizes(connection: Connection) -> Mapping[str, int]:
    """Bytes of every blob that should be on disk, by digest."""
    rows = connection.execute(sa.select(blobs.c.digest, blobs.c.size).where(blobs.c.state != "deleting"))
    return {row.digest: row.size for row in rows}


def condemn(connection: Connection, grace_s: float) -> int:
    """Condemn what nothing needs and nobody used for ``grace_s``; return how many."""
    idle = sa.and_(blobs.c.state == "live", blobs.c.last_used < now(grace_s), ~_is_needed)
    # What somebody has locked is in use; waiting for it, in whatever order rows come, could end in a deadlock.
    free = sa.select(blobs.c.digest).where(idle).order_by(blobs.c.digest).with_for_update(skip_locked=True, of=blobs)
    chosen = blobs.c.digest.in_(free)
    return connection.execute(blobs.update().where(chosen).values(state="condemned", condemned=now())).rowcount


def condemned(connection: Connection, grace_s: float, limit: int = 1000) -> tuple[str, ...]:
    """Blobs condemned longer ago than ``grace_s``, and those whose deletion was cut off."""
    due = sa.and_(blobs.c.state == "condemned", blobs.c.condemned < now(grace_s))
    query = sa.select(blobs.c.digest).where(sa.or_(due, blobs.c.state == "deleting")).order_by(blobs.c.digest)
    return tuple(connection.scalars(query.limit(limit)))


def begin_deletion(connection: Connection, digest: str) -> bool:
    """Make a condemned blob unusable; False if it is needed or live after all. Commit before touching the file."""
    state = connection.scalar(sa.select(blobs.c.state).where(blobs.c.digest == digest).with_for_update())
    if state not in ("condemned", "deleting"):
        return False
    if connection.scalar(sa.select(sa.func.count()).where(blob_refs.c.digest == digest)):
        connection.execute(blobs.update().where(blobs.c.digest == digest).values(state="live", condemned=None))
        return False
    connection.execute(blobs.update().where(blobs.c.digest == digest).values(state="deleting"))
    return True


def lock_deleting(connection: Connection, digest: str) -> int | None:
    """Lock the row of a blob that is being deleted and return its size: its file may be deleted in this transaction.

    None if it is not being deleted (any more).
    """
    here = sa.and_(blobs.c.digest == digest, blobs.c.state == "deleting")
    return connection.scalar(sa.select(blobs.c.size).where(here).with_for_update())


def reserve(connection: Connection, digest: str) -> bool:
    """Lock a digest that has no row, as one being deleted; False if it has a row."""
    values = {"digest": digest, "size": 0, "state": "deleting", "last_used": now()}
    return insert_missing(connection, blobs, values)


def forget(connection: Connection, digest: str) -> None:
    """Delete the row of a blob whose file is gone."""
    connection.execute(blobs.delete().where(blobs.c.digest == digest, blobs.c.state == "deleting"))


def holders_of_ended(connection: Connection, age_s: float) -> tuple[str, ...]:
    """Studies that ended longer ago than ``age_s`` and still hold arrays."""
    ended = sa.and_(studies.c.state.in_(TERMINAL), studies.c.finished < now(age_s))
    query = sa.select(blob_refs.c.holder_id).distinct().join(studies, studies.c.id == blob_refs.c.holder_id)
    return tuple(connection.scalars(query.where(blob_refs.c.holder == "item", ended).limit(1000)))


def _of_tenant(tenant_id: str) -> sa.Select[Any]:
    columns = (blobs.c.digest, blobs.c.size, blobs.c.state, blobs.c.created, blobs.c.last_used)
    owned = sa.and_(blob_owners.c.digest == blobs.c.digest, blob_owners.c.tenant_id == tenant_id)
    return sa.select(*columns).join(blob_owners, owned).where(blobs.c.state != "deleting")


def _lock(connection: Connection, tenant_id: str, digests: Collection[str]) -> None:
    """Lock blobs of the tenant and make them live."""
    ordered = sorted(digests)
    some = [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]
    found: set[str] = set()
    for chunk in some:
        query = _of_tenant(tenant_id).where(blobs.c.digest.in_(chunk)).order_by(blobs.c.digest)
        found.update(connection.scalars(query.with_for_update(of=blobs)))
    if missing := [digest for digest in ordered if digest not in found]:
        raise MissingBlobError(missing)
    for chunk in some:
        used = {"state": "live", "last_used": now(), "condemned": None}
        connection.execute(blobs.update().where(blobs.c.digest.in_(chunk)).values(**used))
