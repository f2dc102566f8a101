"""Submitting a study: the row, its inputs, its place in the queue and the answer to an Idempotency-Key at once.

Everything happens in one writing transaction: a study that was answered for is in line, and a hundred equal requests
with one key make one study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from search.spec.job import JobSpec
from service.problems import Pointer, ServiceError
from service.store.db import audit, blobs, studies, tenants
from service.store.db.collections import DATASETS, MODELS
from service.store.db.errors import MissingBlobError
from service.store.db.studies import Study, StudyFilter
from service.store.settings import Settings
from service.usecases.accounts.principal import Principal
from service.usecases.studies.ceilings import Granted, granted
from service.usecases.studies.engine import Engine
from service.usecases.studies.inputs import Inputs, missing_pointers, resolve_inputs, spec_digest


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a request asks for.

    Attributes:
        spec: The checked spec.
        name: What its owner calls the study.
        reuse: Whether a finished study of the same content will do.
        request_id: For the audit.
    """

    spec: JobSpec
    name: str | None = None
    reuse: bool = False
    request_id: str | None = None


@dataclass(frozen=True)
class Submitted:
    """What a submission led to.

    Attributes:
        study: The study.
        is_new: Whether it was made by this submission.
    """

    study: Study
    is_new: bool


def submit(
    connection: Connection, principal: Principal, settings: Settings, engine: Engine, submission: Submission
) -> Submitted:
    """Queue a study, or find a finished one of the same content where that will do.

    Args:
        connection: Writing transaction; the study is in line exactly if it commits.
        principal: For whom.
        settings: Limits and connections.
        engine: Puts it in line.
        submission: What is asked for.

    Raises:
        ServiceError: ``invalid-spec``, ``invalid-reference``, ``unknown-input``, ``too-many-studies``.
    """
    spec = submission.spec
    inputs = check_submission(connection, principal, settings, spec)
    digest = spec_digest(spec, inputs)
    if submission.reuse and inputs.is_fixed:
        equal = _finished(connection, principal, digest)
        if equal is not None:
            return Submitted(equal, is_new=False)
    n_open = studies.n_open(connection, principal.tenant_id)
    tenant = tenants.get(connection, principal.tenant_id)
    most = (tenant.max_queued if tenant is not None else None) or settings.max_queued_studies
    if n_open >= most:
        raise ServiceError("too-many-studies", f"{n_open} studies have not ended; {most} may wait.")
    _use_inputs(connection, principal, inputs)
    study = _add(connection, principal, submission, inputs=inputs, digest=digest, allowed=granted(spec, settings))
    audit.add(
        connection,
        actor=principal.actor,
        action="study.submit",
        tenant_id=principal.tenant_id,
        object=study.id,
        request_id=submission.request_id,
    )
    engine.submit(connection, study)
    return Submitted(study, is_new=True)


def check_submission(connection: Connection, principal: Principal, settings: Settings, spec: JobSpec) -> Inputs:
    """Return the inputs of a spec that could be submitted now; changes nothing.

    Raises:
        ServiceError: ``invalid-spec``, ``invalid-reference``, ``unknown-input``.
    """
    inputs = resolve_inputs(connection, principal, settings, spec)
    mistakes = []
    for key, most in _sizes(settings).items():
        size = int(inputs.by_key.get(key, {}).get("size", 0))
        if size > most:
            mistakes.append(Pointer("/" + key.replace(".", "/"), f"has {size} bytes, the limit is {most}"))
    if mistakes:
        detail = "; ".join(f"{one.pointer}: {one.message}" for one in mistakes[:3])
        raise ServiceError("invalid-spec", f"{detail}.", pointers=mistakes)
    return inputs


def _sizes(settings: Settings) -> Mapping[str, int]:
    data = dict.fromkeys(("data.calibration", "data.evaluation", "data.confirmation"), settings.max_dataset_bytes)
    return {"model": settings.max_model_bytes, "overrides": settings.max_json_bytes, **data}


def _use_inputs(connection: Connection, principal: Principal, inputs: Inputs) -> None:
    for digest in sorted(inputs.digests):
        blobs.claim(connection, principal.tenant_id, digest)
    for place, identifier in inputs.collections:
        (MODELS if place == "models" else DATASETS).touch(connection, identifier)


def _add(
    connection: Connection,
    principal: Principal,
    submission: Submission,
    *,
    inputs: Inputs,
    digest: str,
    allowed: Granted,
) -> Study:
    spec = submission.spec
    values: dict[str, Any] = {
        "tenant_id": principal.tenant_id,
        "spec": spec.to_json(),
        "spec_digest": digest,
        "target": spec.target.name,
        "name": submission.name,
        "priority": allowed.priority,
        "limits": {"max_evaluations": spec.search.max_evaluations, "max_seconds": allowed.max_seconds},
        "timeout_s": allowed.timeout_s,
        "problem": {**inputs.to_json(), "threads": allowed.threads},
        "submitted_by": principal.key_id,
    }
    try:
        return studies.add(connection, **values, inputs=inputs.digests)
    except MissingBlobError as error:  # deleted since it was looked up
        pointers = list(missing_pointers(inputs, spec, error.digests))
        raise ServiceError("unknown-input", str(error), pointers=pointers) from None


def _finished(connection: Connection, principal: Principal, digest: str) -> Study | None:
    wanted = StudyFilter(states=("succeeded",), spec_digest=digest)
    page = studies.page(connection, principal.tenant_id, wanted, limit=1)
    return studies.get(connection, principal.tenant_id, page.rows[0].id) if page.rows else None
