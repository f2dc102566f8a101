"""Submitting, steering and reading studies."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from service.client.blobs import download
from service.client.connection import AsyncConnection
from service.client.errors import NotFoundError
from service.client.files import file_digest, place_in
from service.client.follow import Follow, Watch
from service.contract import (
    Artifact,
    DryRun,
    Event,
    Finding,
    FrontPoint,
    Group,
    Page,
    Rows,
    Study,
    StudyLine,
    Trial,
    TrialLine,
    page,
    read,
)

_RESULT = "result.json"


class Unchanged(Enum):
    """What stays as it is."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED


class AsyncStudies:
    """Studies of the tenant."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def submit(
        self,
        spec: Mapping[str, Any],
        *,
        name: str | None = None,
        reuse: bool = False,
        idempotency_key: str | None = None,
    ) -> Study:
        """Put a study in line; sent again after a broken connection it is still one study.

        Args:
            spec: Job spec whose inputs are ``sha256:<hex>``, ``models/<id>``, ``datasets/<id>`` or ``connection://...``.
            name: What to call it.
            reuse: Whether a finished study of the same content will do.
            idempotency_key: Requests with the same one submit one study; a new one if None.
        """
        found = await self._connection.ask(
            "POST",
            "/v1/studies",
            params={"name": name, "reuse": "true" if reuse else None},
            json=dict(spec),
            headers={"Idempotency-Key": idempotency_key or uuid.uuid4().hex},
        )
        return read(Study, found.json())

    async def estimate(self, spec: Mapping[str, Any]) -> DryRun:
        """Check a spec and say what it may take; nothing is queued."""
        found = await self._connection.ask("POST", "/v1/studies", params={"dry_run": "true"}, json=dict(spec))
        return read(DryRun, found.json())

    async def list(
        self,
        *,
        states: Sequence[str] = (),
        outcome: str | None = None,
        target: str | None = None,
        name: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[StudyLine]:
        """Return studies, newest first."""
        params = {"outcome": outcome, "target": target, "name": name, "cursor": cursor, "limit": limit}
        found = await self._connection.ask("GET", "/v1/studies", params={**params, "state": list(states) or None})
        return page(StudyLine, found.json())

    async def get(self, study_id: str) -> Study:
        """Return one study."""
        return read(Study, (await self._connection.ask("GET", _path(study_id))).json())

    async def change(
        self,
        study_id: str,
        *,
        name: str | Unchanged | None = UNCHANGED,
        priority: int | Unchanged = UNCHANGED,
        version: int | None = None,
    ) -> Study:
        """Set the name or the priority.

        Args:
            study_id: Whose.
            name: What to call it from now on; None takes its name away.
            priority: Of one that has not ended; larger is sooner.
            version: Only if the study is still at this one.
        """
        changes = {key: one for key, one in (("name", name), ("priority", priority)) if one is not UNCHANGED}
        headers = _if_match(version)
        found = await self._connection.ask("PATCH", _path(study_id), json=changes, headers=headers)
        return read(Study, found.json())

    async def cancel(self, study_id: str, *, version: int | None = None) -> Study:
        """End it early."""
        return await self._steer(study_id, "cancel", version)

    async def pause(self, study_id: str, *, version: int | None = None) -> Study:
        """Stop it until it is resumed."""
        return await self._steer(study_id, "pause", version)

    async def resume(self, study_id: str, *, version: int | None = None) -> Study:
        """Put a paused study in line again."""
        return await self._steer(study_id, "resume", version)

    async def delete(self, study_id: str, *, version: int | None = None) -> Study | None:
        """Delete an ended study (None); any other is cancelled, and returned."""
        with suppress(NotFoundError):  # a repeated request finds it gone
            found = await self._connection.ask("DELETE", _path(study_id), headers=_if_match(version))
            return None if found.status_code == 204 else read(Study, found.json())
        return None

    async def trials(
        self,
        study_id: str,
        *,
        order: str | None = None,
        verdict: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[TrialLine]:
        """Return trials; ``order`` is ``no``, ``-no``, ``cost`` or ``-cost``."""
        params = {"order": order, "verdict": verdict, "cursor": cursor, "limit": limit}
        return page(TrialLine, (await self._connection.ask("GET", _path(study_id, "trials"), params=params)).json())

    async def trial(self, study_id: str, no: int) -> Trial:
        """Return one trial with its details."""
        return read(Trial, (await self._connection.ask("GET", _path(study_id, f"trials/{no}"))).json())

    async def groups(self, study_id: str) -> tuple[Group, ...]:
        """Return the groups of the network, in the order in which trials list their precisions."""
        return page(Group, (await self._connection.ask("GET", _path(study_id, "groups"))).json()).items

    async def front(self, study_id: str) -> tuple[FrontPoint, ...]:
        """Return the trials that no other beats, cheapest first."""
        return page(FrontPoint, (await self._connection.ask("GET", _path(study_id, "front"))).json()).items

    async def sensitivity(
        self,
        study_id: str,
        *,
        output: str | None = None,
        base: str | None = None,
        sensitive_type: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Rows:
        """Return how much each point alone costs, most sensitive first."""
        params = {"output": output, "base": base, "sensitive_type": sensitive_type, "cursor": cursor, "limit": limit}
        return read(Rows, (await self._connection.ask("GET", _path(study_id, "sensitivity"), params=params)).json())

    async def layers(self, study_id: str, *, cursor: str | None = None, limit: int | None = None) -> Rows:
        """Return float against quantized, layer by layer."""
        params = {"cursor": cursor, "limit": limit}
        return read(Rows, (await self._connection.ask("GET", _path(study_id, "layers"), params=params)).json())

    async def findings(self, study_id: str) -> tuple[Finding, ...]:
        """Return what the user should know."""
        return page(Finding, (await self._connection.ask("GET", _path(study_id, "findings"))).json()).items

    async def events(self, study_id: str, *, after: int = 0, limit: int | None = None) -> tuple[Event, ...]:
        """Return events behind one, oldest first; ``follow`` gets them as they happen."""
        params = {"after": after, "limit": limit}
        return page(Event, (await self._connection.ask("GET", _path(study_id, "events"), params=params)).json()).items

    async def wait(
        self,
        study_id: str,
        *,
        timeout_s: float | None = None,
        max_outage_s: float = 600.0,
        watch: Watch | None = None,
    ) -> Study:
        """Wait until a study has ended; a server that goes away is waited for too.

        Args:
            study_id: Which.
            timeout_s: How long to wait at most.
            max_outage_s: How long the server may be away at once.
            watch: Is told every event once, in order.

        Raises:
            WaitTimeoutError: If it has not ended by then; it goes on.
            UnreachableError: If the server stays away.
            TemporaryError: If the server answers that it cannot answer for so long.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        return await Follow(self._connection, study_id, deadline, max_outage_s, watch).to_the_end()

    async def artifacts(self, study_id: str) -> tuple[Artifact, ...]:
        """Return the files that the study delivered."""
        return page(Artifact, (await self._connection.ask("GET", _path(study_id, "artifacts"))).json()).items

    async def artifact_size(self, study_id: str, name: str) -> int:
        """Return the bytes of a file."""
        found = await self._connection.ask("HEAD", _path(study_id, f"artifacts/{quote(name)}"))
        return int(found.headers["content-length"])

    async def download(self, study_id: str, folder: Path | str, *, names: Sequence[str] = ()) -> tuple[Path, ...]:
        """Download files into a folder, ``result.json`` last; those that are there with the same content stay.

        Args:
            study_id: Whose.
            folder: Made if it is not there.
            names: Which; all if empty.

        Raises:
            NotFoundError: If there is no such file.
            DamagedDownloadError: If bytes were changed on their way.
        """
        found = {one.name: one for one in await self.artifacts(study_id)}
        missing = sorted(set(names) - set(found))
        if missing:
            raise NotFoundError(404, {"detail": f"The study has no file {missing[0]!r}.", "code": "not-found"})
        made = []
        for name in sorted(names or found, key=lambda one: (one == _RESULT, one)):
            target = place_in(Path(folder), name)
            if not await asyncio.to_thread(_has, target, found[name].digest):
                path = _path(study_id, f"artifacts/{quote(name)}")
                await download(self._connection, path, found[name].digest, target)
            made.append(target)
        return tuple(made)

    async def _steer(self, study_id: str, what: str, version: int | None) -> Study:
        headers = _if_match(version)
        return read(Study, (await self._connection.ask("POST", _path(study_id, what), headers=headers)).json())


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and file_digest(path) == digest


def _path(study_id: str, rest: str = "") -> str:
    path = f"/v1/studies/{quote(study_id, safe='')}"
    return f"{path}/{rest}" if rest else path


def _if_match(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"v{version}"'}
