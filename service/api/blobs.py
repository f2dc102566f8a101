"""Uploading and fetching bytes by their SHA-256."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool

from service import contract
from service.api.documented import PROBLEMS, Responses
from service.http.context import Parts, PartsDep, Reader, Submitter
from service.http.downloads import Download, download
from service.problems import ServiceError, not_found
from service.store import uploads
from service.store.blobs.store import Receiver
from service.store.db import blobs
from service.store.db.blobs import Blob
from service.store.retention.incoming import OverQuotaError, Parcel
from service.store.retention.quota import over_quota, watch_quota
from service.usecases.accounts.principal import Principal

router = APIRouter(prefix="/v1", tags=["blobs"], responses=PROBLEMS)
BLOCK = 1 << 20
"""Bytes gathered before they are hashed and written: a thread is asked once per block, not once per packet."""

DigestPath = Annotated[str, Path(alias="sha256", pattern="^[0-9a-f]{64}$", description="SHA-256 of the bytes.")]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": _BINARY}}}
_FILE: Responses = {
    200: {"description": "The bytes.", "content": {"application/octet-stream": _BINARY}},
    206: {"description": "A part."},
}
_CREATED: Responses = {200: {"model": contract.Blob, "description": "It was there already."}}


@router.put(
    "/blobs/{sha256}", operation_id="put_blob", status_code=201, openapi_extra=_BODY, responses={**PROBLEMS, **_CREATED}
)
async def put_blob(
    parts: PartsDep, principal: Submitter, digest: DigestPath, request: Request, response: Response
) -> contract.Blob:
    """Upload bytes. They are hashed on their way to disk; if they are not those of the address, nothing is left.

    The bytes must be sent even if another tenant has them: the answer tells nothing about others. Ask with HEAD first
    whether this tenant has them.
    """
    before = await run_in_threadpool(_find, parts, principal, digest)
    settings = parts.settings
    limit = max(settings.max_model_bytes, settings.max_dataset_bytes)
    announced = request.headers.get("content-length", "0")
    if before is None:
        await run_in_threadpool(_check_quota, parts, principal, int(announced) if announced.isdecimal() else 0)
    replaces = 0 if before is None else before.size
    with parts.incoming.receiving(principal.tenant_id, replaces=replaces) as parcel:
        with parts.store.receiving(limit=limit) as receiver:
            await _receive(request, receiver, parcel)
            staged = await run_in_threadpool(receiver.finish, digest)
        await run_in_threadpool(uploads.keep, parts.database, parts.store, principal.tenant_id, staged)
    await run_in_threadpool(_watch_quota, parts, principal)
    parts.metrics.uploaded.inc(staged.size)
    response.status_code = 201 if before is None else 200
    response.headers["Location"] = f"/v1/blobs/{digest}"
    kept = await run_in_threadpool(_find, parts, principal, digest)
    if kept is None:
        raise ServiceError("unavailable", "The blob was deleted meanwhile.", headers={"Retry-After": "1"})
    return contract.shaped(contract.Blob, kept)


@router.head("/blobs/{sha256}", operation_id="head_blob", responses={**PROBLEMS, **_FILE}, response_class=Response)
def head_blob(parts: PartsDep, principal: Reader, digest: DigestPath, request: Request) -> Response:
    """Say whether the tenant has these bytes, and keep them for another while."""
    with parts.database.reading() as connection:
        found = blobs.find(connection, principal.tenant_id, digest)
    if found is None:
        raise not_found("blob")
    if principal.may("submit"):
        with parts.database.writing() as connection:
            blobs.claim(connection, principal.tenant_id, digest)
    return download(parts.store, _file(found), request.headers, head=True)


@router.get("/blobs/{sha256}", operation_id="get_blob", responses={**PROBLEMS, **_FILE}, response_class=Response)
def get_blob(parts: PartsDep, principal: Reader, digest: DigestPath, request: Request) -> Response:
    """Download bytes that the tenant has."""
    found = _find(parts, principal, digest)
    if found is None:
        raise not_found("blob")
    return download(parts.store, _file(found), request.headers)


async def _receive(request: Request, receiver: Receiver, parcel: Parcel) -> None:
    """Write the body of a request as it comes.

    Raises:
        ServiceError: ``over-quota`` before the first byte that does not fit is written.
    """

    def write(data: bytes) -> None:
        try:
            parcel.add(len(data))
        except OverQuotaError as error:
            raise ServiceError("over-quota", str(error)) from None
        receiver.write(data)

    block = bytearray()
    async for chunk in request.stream():
        block += chunk
        if len(block) >= BLOCK:
            await run_in_threadpool(write, bytes(block))
            block.clear()
    if block:
        await run_in_threadpool(write, bytes(block))


def _check_quota(parts: Parts, principal: Principal, n_bytes: int) -> None:
    with parts.database.reading() as connection:
        refusal = over_quota(connection, principal.tenant_id, parts.settings.tenant_quota_bytes, n_bytes)
    if refusal is not None:
        raise ServiceError("over-quota", refusal)


def _watch_quota(parts: Parts, principal: Principal) -> None:
    if parts.settings.tenant_quota_bytes is not None:
        with parts.database.writing() as connection:
            watch_quota(connection, principal.tenant_id, parts.settings.tenant_quota_bytes)


def _find(parts: Parts, principal: Principal, digest: str) -> Blob | None:
    with parts.database.reading() as connection:
        return blobs.find(connection, principal.tenant_id, digest)


def _file(blob: Blob) -> Download:
    return Download(blob.digest, blob.size, blob.digest)
