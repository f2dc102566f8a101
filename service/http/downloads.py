"""Sending a blob: strong ETag, one range, always as an attachment that no browser runs.

Only a single range is served; a request for several gets the whole file, as RFC 9110 allows: answering ten thousand
ranges would cost the server more than the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from service.problems import ServiceError
from service.store.blobs.store import BlobStore

CHUNK = 1 << 18
OPAQUE = "application/octet-stream"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_MEDIA = re.compile(r"[a-z]+/[a-z0-9.+-]+(?:; ?charset=utf-8)?", re.ASCII)


@dataclass(frozen=True)
class Download:
    """A file to send.

    Attributes:
        digest: Its blob.
        size: In bytes.
        name: What to call it.
        media_type: What it is.
    """

    digest: str
    size: int
    name: str
    media_type: str = OPAQUE


@dataclass(frozen=True)
class _Span:
    """Bytes ``first`` to ``last`` of a file, both included."""

    first: int
    last: int


def download(store: BlobStore, file: Download, headers: Headers, *, head: bool = False) -> Response:
    """Return the answer to a request for a file.

    Args:
        store: Where it lies.
        file: Which.
        headers: Of the request.
        head: Whether only the headers are wanted.

    Raises:
        ServiceError: ``bad-range`` if the range begins behind the end.
        BlobNotFoundError: If it is not on disk.
        CorruptBlobError: If its length has changed.
    """
    tag = f'"{file.digest}"'
    sent = {
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": disposition(file.name),
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    }
    if matches(headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=sent)
    media_type = file.media_type if _MEDIA.fullmatch(file.media_type) else OPAQUE
    span = _span(headers, file, tag)
    if span is None:
        span, status = _Span(0, file.size - 1), 200
    else:
        status = 206
        sent["Content-Range"] = f"bytes {span.first}-{span.last}/{file.size}"
    sent["Content-Length"] = str(span.last - span.first + 1)
    if head:
        return Response(status_code=status, headers=sent, media_type=media_type)
    source = store.open(file.digest, size=file.size)
    return StreamingResponse(_chunks(source, span), status_code=status, headers=sent, media_type=media_type)


def disposition(name: str) -> str:
    """Return ``Content-Disposition`` for a file of this name; only its last part is told."""
    last = PurePosixPath(name).name
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", last)[:200] or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(last.encode(errors='replace'), safe='')}"


def matches(header: str | None, tag: str) -> bool:
    """Whether ``If-None-Match`` names this ETag, or any."""
    if header is None:
        return False
    return header.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in header.split(",")]


def _span(headers: Headers, file: Download, tag: str) -> _Span | None:
    """The range that is wanted, or None for the whole file."""
    header = headers.get("range")
    if header is None or headers.get("if-range", tag) != tag:
        return None
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:  # the last n bytes
        n = min(int(found[2]), file.size)
        span = _Span(file.size - n, file.size - 1)
    else:
        span = _Span(int(found[1]), min(int(found[2]), file.size - 1) if found[2] else file.size - 1)
        if found[2] and int(found[2]) < int(found[1]):
            return None
    if span.first > span.last:
        raise ServiceError(
            "bad-range", f"The file has {file.size} bytes.", headers={"Content-Range": f"bytes */{file.size}"}
        )
    return span


def _chunks(source: BinaryIO, span: _Span) -> Iterator[bytes]:
    with source:
        source.seek(span.first)
        rest = span.last - span.first + 1
        while rest > 0 and (chunk := source.read(min(CHUNK, rest))):
            rest -= len(chunk)
            yield chunk
