"""The inputs of a study: what its spec names, resolved to digests that the tenant holds.

The value is stored as ``studies.problem``: ``{"inputs": {key: input}}``; an input is a ``file`` (one blob, of a model
also its external data), a ``directory`` of blobs, or a place in a ``connection``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from search.canonical import digest_json
from search.spec.job import JobSpec
from search.spec.suggestion import did_you_mean, listing
from service.problems import Pointer, ServiceError
from service.store.db import blobs
from service.store.db.collections import DATASETS, MODELS
from service.store.settings import Settings
from service.usecases.accounts.principal import Principal
from service.usecases.studies.references import Named, Reference, named_inputs, read_reference

_FREE = ("run", "model", "data", "overrides")


@dataclass(frozen=True)
class Inputs:
    """Everything a study reads.

    Attributes:
        by_key: Input by its key; JSON values.
        collections: ``(place, id)`` of the models and data sets among them.
    """

    by_key: Mapping[str, Mapping[str, Any]]
    collections: tuple[tuple[str, str], ...]

    @property
    def digests(self) -> frozenset[str]:
        """Blobs that are needed."""
        found = [one["digest"] for one in self.by_key.values() if "digest" in one]
        return frozenset(found + [each for one in self.by_key.values() for each in one.get("files", {}).values()])

    @property
    def n_bytes(self) -> int:
        """Bytes of all files that the server holds."""
        return sum(int(one.get("size", 0)) for one in self.by_key.values())

    @property
    def is_fixed(self) -> bool:
        """Whether nothing can change under the study's feet: no input lies behind a connection."""
        return all(one["kind"] != "connection" for one in self.by_key.values())

    def to_json(self) -> dict[str, Any]:
        """Return what is stored."""
        return {"inputs": {key: dict(one) for key, one in self.by_key.items()}}


def resolve_inputs(connection: Connection, principal: Principal, settings: Settings, spec: JobSpec) -> Inputs:
    """Find everything the spec names.

    Raises:
        ServiceError: ``invalid-reference`` for texts that name nothing of the server, ``unknown-input`` for what is not
            there or another tenant's; with pointers.
    """
    named = list(named_inputs(spec))
    read = [(one, read_reference(one)) for one in named]
    mistakes = [found for _, found in read if isinstance(found, Pointer)]
    if mistakes:
        raise ServiceError("invalid-reference", _text(mistakes), pointers=mistakes)
    pairs = [(one, found) for one, found in read if isinstance(found, Reference)]
    by_key: dict[str, Mapping[str, Any]] = {}
    missing: list[Pointer] = []
    for one, reference in pairs:
        found = _resolve(connection, principal, settings, one, reference)
        if isinstance(found, Pointer):
            missing.append(found)
        else:
            by_key[one.key] = found
    if missing:
        raise ServiceError("unknown-input", _text(missing), pointers=missing)
    used = [(found.place, found.value) for _, found in pairs if found.place in ("models", "datasets")]
    return Inputs(by_key, tuple(dict.fromkeys(used)))


def spec_digest(spec: JobSpec, inputs: Inputs) -> str:
    """Return the identity of what is asked: the spec with contents instead of names, without how it is run."""
    values = spec.to_json()
    data = {key: value for key, value in values["data"].items() if f"data.{key}" not in inputs.by_key}
    rest = {key: value for key, value in values.items() if key not in _FREE}
    contents = {
        key: {name: value for name, value in one.items() if name != "size" and value}
        for key, one in inputs.by_key.items()
    }
    return digest_json({**rest, "data": data, "inputs": contents})


def missing_pointers(inputs: Inputs, spec: JobSpec, digests: tuple[str, ...]) -> Iterator[Pointer]:
    """Yield a pointer for every input that needs one of the missing blobs."""
    missing = set(digests)
    for one in named_inputs(spec):
        found = inputs.by_key.get(one.key, {})
        if missing & {found.get("digest"), *found.get("files", {}).values()}:
            yield Pointer(one.pointer, f"{one.text} is not there any more")


def _resolve(
    connection: Connection, principal: Principal, settings: Settings, named: Named, reference: Reference
) -> Mapping[str, Any] | Pointer:
    if reference.place == "connection":
        return _behind(settings, named, reference)
    if reference.place == "blob":
        blob = blobs.find(connection, principal.tenant_id, reference.value)
        if blob is None:
            return Pointer(named.pointer, f"there is no blob {named.text}; upload it with PUT /v1/blobs/<sha256>")
        return {"kind": "file", "digest": blob.digest, "size": blob.size}
    which = MODELS if reference.place == "models" else DATASETS
    found = which.get(connection, principal.tenant_id, reference.value)
    if found is None:
        return Pointer(named.pointer, f"there is no {named.text}")
    if found.digest is None:
        return {"kind": "directory", "files": dict(found.files), "size": found.size}
    return {"kind": "file", "digest": found.digest, "files": dict(found.files), "size": found.size}


def _behind(settings: Settings, named: Named, reference: Reference) -> Mapping[str, Any] | Pointer:
    name = reference.connection or ""
    if name not in settings.connections:
        near = did_you_mean(name, settings.connections)
        have = listing(sorted(settings.connections))
        return Pointer(named.pointer, f"there is no connection {name!r}{near}; the administrator set up {have}")
    return {"kind": "connection", "name": name, "path": reference.value}


def _text(pointers: list[Pointer]) -> str:
    return "; ".join(f"{one.pointer}: {one.message}" for one in pointers[:3]) + "."
