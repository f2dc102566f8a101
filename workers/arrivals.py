"""Inputs behind connections become blobs before a study begins; from then on it depends on nothing outside.

The study keeps the digests of what was there when it began, also over pauses and deaths of workers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sqlalchemy.engine import Connection

from service.store import uploads
from service.store.blobs.errors import BlobTooLargeError, StorageFullError
from service.store.blobs.store import BlobStore
from service.store.connections.errors import ConnectionDownError, ConnectionInputError, UnwantedError
from service.store.connections.fetching import Kept, fetch, limit_of, open_place
from service.store.db import blobs, studies
from service.store.db.engine import Database
from service.store.db.studies import Study
from service.store.retention.incoming import Incoming, OverQuotaError, Parcel
from service.store.retention.quota import over_quota, watch_quota
from service.store.settings import Settings
from workers.database_retry import read, retry, write
from workers.failures import StudyFailedError

ASK_S = 1.0
"""How often a long copy looks whether its study is still wanted."""
PAUSES_S = (1.0, 5.0, 20.0)
"""Waits before a place that does not answer is asked again."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Arrivals:
    """Brings inputs in.

    Attributes:
        settings: Connections and limits.
        database: Where studies are.
        store: Where blobs go.
        sleep: Waits.
    """

    settings: Settings
    database: Database
    store: BlobStore
    sleep: Callable[[float], None] = time.sleep

    @cached_property
    def incoming(self) -> Incoming:
        """What arrives, by tenant."""
        return Incoming(self.database, self.settings.tenant_quota_bytes)

    def bring(self, row: Study) -> Study | None:
        """Return the study with all its inputs in the store; None if nobody wants it any more.

        Raises:
            StudyFailedError: If an input cannot be brought in.
        """
        inputs: Mapping[str, Mapping[str, Any]] = (row.problem or {}).get("inputs", {})
        outside = {key: one for key, one in inputs.items() if one["kind"] == "connection"}
        if not outside:
            return row
        try:
            found = {key: self._bring(row, key, one) for key, one in outside.items()}
        except UnwantedError:
            return None
        return write(self.database, lambda c: _store(c, row, found))

    def _bring(self, row: Study, key: str, value: Mapping[str, Any]) -> Mapping[str, Any]:
        name, path = str(value["name"]), str(value["path"])
        for pause in (*PAUSES_S, None):
            try:
                got = self._fetch(row, key, name, path)
            except ConnectionInputError as error:
                raise StudyFailedError("connection-input", error.blame, _text(key, name, error)) from None
            except BlobTooLargeError:
                text = f"The files are larger than the limit of {limit_of(key, self.settings)} bytes."
                raise StudyFailedError("connection-input", "limit", _text(key, name, text)) from None
            except StorageFullError as error:
                raise StudyFailedError("storage-full", "system", str(error)) from None
            except ConnectionDownError as error:
                if pause is None:
                    text = _text(key, name, f"The connection cannot be used: {error}.")
                    raise StudyFailedError("connection-failed", "system", text) from None
                _log.warning("study %s: connection %s: %s", row.id, name, error)
                self.sleep(pause)
            else:
                return {**got, "source": f"connection://{name}/{path}"}
        raise AssertionError("the last pause ends the loop")

    def _fetch(self, row: Study, key: str, name: str, path: str) -> Mapping[str, Any]:
        setting = self.settings.connections.get(name)
        if setting is None:
            raise ConnectionDownError("this worker knows no connection of this name")
        refusal = read(self.database, lambda c: over_quota(c, row.tenant_id, self.settings.tenant_quota_bytes))
        if refusal is not None:
            raise StudyFailedError("over-quota", "limit", refusal)

        def keep(chunks: Iterator[bytes], limit: int) -> Kept:
            with self.incoming.receiving(row.tenant_id) as parcel:
                staged = self.store.stage(self._while_wanted(row, _counted(chunks, parcel)), limit=limit)
                retry(lambda: uploads.keep(self.database, self.store, row.tenant_id, staged))
            return Kept(staged.digest, staged.size)

        found = fetch(open_place(setting), path, key=key, limit=limit_of(key, self.settings), keep=keep)
        write(self.database, lambda c: watch_quota(c, row.tenant_id, self.settings.tenant_quota_bytes))
        return found

    def _while_wanted(self, row: Study, chunks: Iterator[bytes]) -> Iterator[bytes]:
        last = time.monotonic()
        for chunk in chunks:
            if time.monotonic() - last > ASK_S:
                last = time.monotonic()
                current = read(self.database, lambda c: studies.load(c, row.id))
                if current is None or current.state != "running":
                    raise UnwantedError
            yield chunk


def _counted(chunks: Iterator[bytes], parcel: Parcel) -> Iterator[bytes]:
    for chunk in chunks:
        try:
            retry(lambda: parcel.add(len(chunk)))  # noqa: B023  # called before the next chunk
        except OverQuotaError as error:
            raise StudyFailedError("over-quota", "limit", str(error)) from None
        yield chunk


def _store(connection: Connection, row: Study, found: Mapping[str, Mapping[str, Any]]) -> Study | None:
    """Write down what was brought in, with what it needs; another worker that was faster is right."""
    current = studies.load(connection, row.id, lock=True)
    if current is None or current.state != "running":
        return None
    problem = current.problem or {}
    here: Mapping[str, Mapping[str, Any]] = problem["inputs"]
    new = {key: one for key, one in found.items() if here[key]["kind"] == "connection"}
    needed = [str(digest) for one in new.values() for digest in _digests(one)]
    blobs.refer(connection, row.tenant_id, "input", row.id, needed)
    changed = {**problem, "inputs": {**here, **new}}
    studies.update(connection, row.id, problem=changed)
    return replace(current, problem=changed)


def _digests(found: Mapping[str, Any]) -> Iterator[str]:
    if "digest" in found:
        yield found["digest"]
    yield from found.get("files", {}).values()


def _text(key: str, name: str, error: object) -> str:
    return f"The input {key} behind the connection {name!r}: {error}"
