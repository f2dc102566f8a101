"""Changing the course of a study: cancel, pause, resume, priority, delete. Each is one compare-and-set of its state.

cancel   queued, paused -> cancelled     running -> cancelling (a worker delivers the best, ends it)
pause    queued, running -> paused       resume   paused -> queued
delete   an ended study is deleted; any other is cancelled and stays
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from service.problems import ServiceError, not_found
from service.store.db import audit, studies
from service.store.db.ids import is_id
from service.store.db.studies import Study
from service.store.retention.tombstones import bury
from service.store.settings import Settings
from service.usecases.accounts.principal import Principal
from service.usecases.studies.ceilings import granted_priority
from service.usecases.studies.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Steering:
    """Who changes which study.

    Attributes:
        connection: Writing transaction.
        principal: Who.
        engine: Is told.
        settings: The operator's ceilings.
        study_id: Which study.
        version: The version it must have (``If-Match``); None takes any.
        request_id: For the audit.
    """

    connection: Connection
    principal: Principal
    engine: Engine
    settings: Settings
    study_id: str
    version: int | None = None
    request_id: str | None = None

    def cancel(self) -> Study:
        """End the study early; asking twice changes nothing.

        Raises:
            ServiceError: ``not-found``, ``state-conflict`` if it has ended, ``changed-meanwhile``.
        """
        study = self._study()
        if study.state == "cancelling":
            return study
        to = "cancelling" if study.state == "running" else "cancelled"
        return self._move(study, ("queued", "paused", "running"), to, self.engine.cancel, "cancel")

    def pause(self) -> Study:
        """Stop the study until it is resumed; asking twice changes nothing.

        Raises:
            ServiceError: ``not-found``, ``state-conflict``, ``changed-meanwhile``.
        """
        study = self._study()
        if study.state == "paused":
            return study
        return self._move(study, ("queued", "running"), "paused", self.engine.pause, "pause")

    def resume(self) -> Study:
        """Put a paused study in line again; one that goes on already stays as it is.

        Raises:
            ServiceError: ``not-found``, ``state-conflict``, ``changed-meanwhile``.
        """
        study = self._study()
        if study.state in ("queued", "running"):
            return study
        return self._move(study, ("paused",), "queued", self.engine.resume, "resume")

    def change(self, **changes: Any) -> Study:
        """Set ``name`` or ``priority``.

        Raises:
            ServiceError: ``not-found``, ``changed-meanwhile``, ``state-conflict`` if a priority is set of an ended one.
        """
        study = self._study()
        if "priority" in changes and study.is_terminal:
            raise _conflict("given a priority", study)
        if "priority" in changes:
            changes["priority"] = granted_priority(changes["priority"], self.settings)
        studies.update(self.connection, study.id, **changes)
        changed = self._reread()
        self._note("change")
        if "priority" in changes:
            self.engine.prioritise(self.connection, changed)
        return changed

    def delete(self) -> Study | None:
        """Delete an ended study (None), or cancel one that goes on.

        Raises:
            ServiceError: ``not-found``, ``changed-meanwhile``.
        """
        study = self._study()
        if not study.is_terminal:
            return self.cancel()
        bury(self.connection, study, actor=self.principal.actor, request_id=self.request_id)
        return None

    def _study(self) -> Study:
        """The study, locked, in the version that was asked for."""
        found = studies.load(self.connection, self.study_id, lock=True) if is_id(self.study_id) else None
        if found is None or found.tenant_id != self.principal.tenant_id:
            raise not_found("study")
        if self.version is not None and found.version != self.version:
            raise ServiceError(
                "changed-meanwhile", f"The study is at version {found.version}, If-Match asks for {self.version}."
            )
        return found

    def _move(
        self,
        study: Study,
        expect: Collection[str],
        to: str,
        tell: Callable[[Connection, Study], None],
        action: str,
    ) -> Study:
        here = [study.state] if study.state in expect else []
        moved = studies.transition(self.connection, study.id, expect=here, to=to) if here else None
        if moved is None:
            raise _conflict(f"{action}d" if action.endswith("e") else f"{action}led", study)
        self._note(action)
        tell(self.connection, moved)
        return moved

    def _reread(self) -> Study:
        found = studies.load(self.connection, self.study_id)
        if found is None:
            raise not_found("study")
        return found

    def _note(self, action: str) -> None:
        audit.add(
            self.connection,
            actor=self.principal.actor,
            action=f"study.{action}",
            tenant_id=self.principal.tenant_id,
            object=self.study_id,
            request_id=self.request_id,
        )


def _conflict(what: str, study: Study) -> ServiceError:
    return ServiceError("state-conflict", f"The study is {study.state} and cannot be {what}.")
