"""Deleting a study: its rows go, what it needed is given up, and an entry of the audit says what it was."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from service.store.db import audit, studies
from service.store.db.announcements import announce_study
from service.store.db.studies import StudyLine

DELETED = "study.delete"
_KEPT = ("name", "target", "state", "outcome", "stopped", "seconds", "priority")
_TIMES = ("created", "started", "finished")


def bury(connection: Connection, study: StudyLine, *, actor: str, request_id: str | None = None) -> bool:
    """Delete an ended study; False if it goes on or is not there any more.

    Its bytes go with the next rounds of the collection; the tombstone stays as long as the audit.
    """
    if not studies.delete(connection, study.tenant_id, study.id):
        return False
    audit.add(
        connection,
        actor=actor,
        action=DELETED,
        tenant_id=study.tenant_id,
        object=study.id,
        request_id=request_id,
        data=_tombstone(study),
    )
    announce_study(connection, {name: getattr(study, name) for name in study.__dataclass_fields__}, "deleted")
    return True


def _tombstone(study: StudyLine) -> dict[str, Any]:
    times = {name: None if (moment := getattr(study, name)) is None else moment.isoformat() for name in _TIMES}
    return {**{name: getattr(study, name) for name in _KEPT}, **times, "version": study.version}
