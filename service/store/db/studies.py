"""Studies: submitted once, moved from state to state by compare-and-set, listed by pages.

queued -> running -> succeeded | failed          paused <-> queued | running
queued | paused -> cancelled                     running -> cancelling -> cancelled (or what it became before)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from service.store.db import blobs, events
from service.store.db.announcements import announce_study
from service.store.db.columns import now, seconds_since
from service.store.db.ids import new_id
from service.store.db.pages import Order, Page, read_page
from service.store.db.schema import STUDY_STATES, TERMINAL, studies

MOVES: Mapping[str, frozenset[str]] = {
    "queued": frozenset({"running", "paused", "cancelled", "failed"}),
    "running": frozenset({"queued", "paused", "cancelling", "cancelled", "succeeded", "failed"}),
    "paused": frozenset({"queued", "running", "cancelled", "failed"}),
    "cancelling": frozenset({"cancelled", "succeeded", "failed"}),
    **{state: frozenset() for state in TERMINAL},
}
"""Where a study may go from each state."""

_CHANGEABLE = frozenset(
    {"phase", "progress", "outcome", "stopped", "priority", "problem", "limits", "timeout_s", "error", "result"}
    | {"seconds", "name"}
)
_by_id = Order("studies", (studies.c.id,), (str,), descending=True)
_LINE = ("id", "tenant_id", "name", "state", "phase", "progress", "outcome", "stopped", "priority", "target")
_line_columns = [
    studies.c[name] for name in (*_LINE, "error", "result", "seconds", "version", "created", "started", "finished")
]


@dataclass(frozen=True, kw_only=True)
class StudyLine:
    """A study as a list shows it.

    Attributes:
        progress: JSON value of the worker: done, total, unit, ...
        result: Summary of the result, once there is one.
        seconds: Search time.
        version: +1 with every change; the ETag.
    """

    id: str
    tenant_id: str
    name: str | None
    state: str
    phase: str | None
    progress: Mapping[str, Any] | None
    outcome: str | None
    stopped: str | None
    priority: int
    target: str
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] | None
    seconds: float
    version: int
    created: datetime
    started: datetime | None
    finished: datetime | None

    @property
    def is_terminal(self) -> bool:
        """Whether nothing changes any more."""
        return self.state in TERMINAL


@dataclass(frozen=True, kw_only=True)
class Study(StudyLine):
    """A study with everything stored about it.

    Attributes:
        spec: The job spec as submitted.
        problem: What the worker made of it: content digests instead of references.
        attempts: Evaluators it has killed.
        dispatched: Whether it was given to the workers; one that is queued and was not waits for its tenant's turn.
    """

    spec: Mapping[str, Any]
    problem: Mapping[str, Any] | None
    spec_digest: str
    limits: Mapping[str, Any]
    timeout_s: float | None
    attempts: int
    submitted_by: str | None
    dispatched: bool


@dataclass(frozen=True, kw_only=True)
class StudyFilter:
    """Which studies a list shows; empty or None = all."""

    states: Collection[str] = field(default=())
    outcome: str | None = None
    target: str | None = None
    name: str | None = None
    spec_digest: str | None = None


def add(
    connection: Connection,
    *,
    tenant_id: str,
    spec: Mapping[str, Any],
    spec_digest: str,
    target: str,
    name: str | None = None,
    priority: int = 0,
    limits: Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
    problem: Mapping[str, Any] | None = None,
    submitted_by: str | None = None,
    study_id: str | None = None,
    inputs: Collection[str] = (),
) -> Study:
    """Queue a study; ``study_id`` is for callers that need it before, ``inputs`` are blobs kept as long as it is.

    Raises:
        MissingBlobError: If an input is not there or not the tenant's.
    """
    found = study_id or new_id()
    blobs.refer(connection, tenant_id, "input", found, inputs)
    values: dict[str, Any] = {"id": found, "tenant_id": tenant_id, "name": name, "state": "queued", "target": target}
    values |= {"spec": dict(spec), "spec_digest": spec_digest, "priority": priority, "limits": dict(limits or {})}
    values |= {"timeout_s": timeout_s, "problem": problem, "submitted_by": submitted_by}
    row = connection.execute(studies.insert().values(**values).returning(studies)).mappings().one()
    announce_study(connection, {**row}, "queued")
    events.append(connection, study_id=found, tenant_id=tenant_id, kind="state", data={"state": "queued", "version": 1})
    return Study(**row)


def get(connection: Connection, tenant_id: str, study_id: str) -> Study | None:
    """Return a study of the tenant; another tenant's is not there."""
    mine = sa.and_(studies.c.id == study_id, studies.c.tenant_id == tenant_id)
    row = connection.execute(sa.select(studies).where(mine)).mappings().one_or_none()
    return None if row is None else Study(**row)


def load(connection: Connection, study_id: str, *, lock: bool = False) -> Study | None:
    """Return a study whoever it belongs to: for workers. ``lock`` keeps others from changing it meanwhile."""
    query = sa.select(studies).where(studies.c.id == study_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else Study(**row)


def page(
    connection: Connection,
    tenant_id: str,
    wanted: StudyFilter | None = None,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> Page[StudyLine]:
    """Return studies of the tenant, newest first."""
    query = sa.select(*_line_columns).where(studies.c.tenant_id == tenant_id)
    chosen = wanted or StudyFilter()
    if chosen.states:
        query = query.where(studies.c.state.in_(sorted(chosen.states)))
    for column in ("outcome", "target", "name", "spec_digest"):
        value = getattr(chosen, column)
        if value is not None:
            query = query.where(studies.c[column] == value)
    return read_page(connection, query, _by_id, _line, cursor=cursor, limit=limit)


def transition(
    connection: Connection,
    study_id: str,
    *,
    expect: Collection[str],
    to: str,
    version: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Study | None:
    """Move a study to state ``to`` if it is in one of ``expect`` now; appends an event.

    Args:
        connection: Open writing transaction.
        study_id: The study.
        expect: States it may be in.
        to: Its new state.
        version: If given, the study must also have this version (``If-Match``).
        changes: Columns to set in the same step.

    Returns:
        The study as it is afterwards; None if it was in another state or version, or is not there.

    Raises:
        ValueError: If the program asks for a move that no study may make.
    """
    for state in expect:
        if to not in MOVES[state]:
            raise ValueError(f"A study cannot go from {state!r} to {to!r}.")
    values = _checked(changes or {})
    values["state"] = to
    if to == "queued":
        values["dispatched"] = False
    if to == "running":
        values["started"] = sa.func.coalesce(studies.c.started, now())
    if to in TERMINAL:
        values["finished"] = now()
    here = sa.and_(studies.c.id == study_id, studies.c.state.in_(sorted(expect)))
    if version is not None:
        here = sa.and_(here, studies.c.version == version)
    study = _change(connection, here, values)
    if study is not None:
        announce_study(connection, vars(study), to)
        data = {"state": to, "outcome": study.outcome, "phase": study.phase, "version": study.version}
        events.append(connection, study_id=study_id, tenant_id=study.tenant_id, kind="state", data=data)
    return study


def update(connection: Connection, study_id: str, *, expect: Collection[str] | None = None, **changes: Any) -> bool:
    """Set columns without a change of state, e.g. ``phase``, ``progress``, ``problem``, ``seconds``, ``priority``.

    With ``expect`` only if the study is in one of these states. Returns whether there was such a study.
    """
    here = studies.c.id == study_id
    if expect is not None:
        here = sa.and_(here, studies.c.state.in_(sorted(expect)))
    return _change(connection, here, _checked(changes)) is not None


def add_attempt(connection: Connection, study_id: str) -> int:
    """Count an evaluator that died under this study; return how many did."""
    study = _change(connection, studies.c.id == study_id, {"attempts": studies.c.attempts + 1})
    return 0 if study is None else study.attempts


def delete(connection: Connection, tenant_id: str, study_id: str) -> bool:
    """Delete an ended study with everything below it; False if it goes on or is not there."""
    mine = sa.and_(studies.c.id == study_id, studies.c.tenant_id == tenant_id, studies.c.state.in_(TERMINAL))
    done = connection.execute(studies.delete().where(mine)).rowcount == 1
    if done:
        blobs.release(connection, ("input", "item", "artifact"), study_id)
    return done


def count_by_state(connection: Connection, tenant_id: str | None = None) -> Mapping[str, int]:
    """Number of studies in every state."""
    query = sa.select(studies.c.state, sa.func.count().label("n")).group_by(studies.c.state)
    if tenant_id is not None:
        query = query.where(studies.c.tenant_id == tenant_id)
    found = {row.state: row.n for row in connection.execute(query)}
    return {state: int(found.get(state, 0)) for state in STUDY_STATES}


def n_open(connection: Connection, tenant_id: str) -> int:
    """Number of studies of the tenant that have not ended."""
    return sum(n for state, n in count_by_state(connection, tenant_id).items() if state not in TERMINAL)


def queue_age_s(connection: Connection, tenant_id: str | None = None) -> float:
    """Seconds the longest waiting study, of a tenant or of all, has been queued; 0 if none is."""
    query = sa.select(sa.func.max(seconds_since(studies.c.created))).where(studies.c.state == "queued")
    if tenant_id is not None:
        query = query.where(studies.c.tenant_id == tenant_id)
    return max(0.0, float(connection.scalar(query) or 0.0))


def typical_wall_s(connection: Connection, tenant_id: str, *, of: int = 20) -> float | None:
    """Mean seconds from start to end of the tenant's newest succeeded studies; None if there is none."""
    mine = sa.and_(studies.c.tenant_id == tenant_id, studies.c.state == "succeeded", studies.c.started.is_not(None))
    query = sa.select(studies.c.started, studies.c.finished).where(mine).order_by(studies.c.id.desc()).limit(of)
    spent = [(row.finished - row.started).total_seconds() for row in connection.execute(query)]
    return sum(spent) / len(spent) if spent else None


def dispatched_in(connection: Connection, states: Collection[str]) -> tuple[str, ...]:
    """Identifiers of all studies in these states that were given to the workers, by age: for the recovery tick."""
    given = sa.and_(studies.c.state.in_(sorted(states)), studies.c.dispatched.is_(True))
    query = sa.select(studies.c.id).where(given).order_by(studies.c.id)
    return tuple(connection.scalars(query))


def ended(connection: Connection, age_s: float, *, limit: int = 100) -> tuple[StudyLine, ...]:
    """Studies that ended longer ago than ``age_s``, oldest first."""
    query = sa.select(*_line_columns).where(studies.c.state.in_(TERMINAL), studies.c.finished < now(age_s))
    return tuple(map(_line, connection.execute(query.order_by(studies.c.finished).limit(limit)).mappings()))


def _change(connection: Connection, where: sa.ColumnElement[bool], values: Mapping[str, Any]) -> Study | None:
    statement = studies.update().where(where).values(**values, version=studies.c.version + 1).returning(studies)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else Study(**row)


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(set(changes) - _CHANGEABLE):
        raise ValueError(f"Columns {unknown} of a study cannot be set here; can: {sorted(_CHANGEABLE)}.")
    return dict(changes)


def _line(row: Any) -> StudyLine:
    return StudyLine(**row)
