"""Problems as HTTP: one body for every refusal, wherever in the stack it arises.

Somebody who looks at a page gets it as a page: ``app.state.problem_page`` makes it of the request and the document.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from service.http.paths import allowed_methods
from service.problems import KINDS, Kind, Pointer, ServiceError, problem_document
from service.store.blobs.errors import (
    BlobNotFoundError,
    BlobTooLargeError,
    CorruptBlobError,
    DigestMismatchError,
    StorageFullError,
)
from service.store.db.away import MAY_BE_AWAY, is_away, is_full
from service.store.db.errors import BadCursorError, DatabaseBusyError, MissingBlobError

MEDIA_TYPE = "application/problem+json"
RETRY_S = "1"
_LOG = logging.getLogger("bitbudget.api")
_BY_STATUS = {
    400: "bad-request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    413: "too-large",
    415: "unsupported-media-type",
    416: "bad-range",
    422: "invalid-request",
    429: "rate-limited",
    503: "unavailable",
}
_PLACES = {"query": "query", "path": "path", "header": "header", "cookie": "cookie"}
_OWN: Mapping[type[Exception], str] = {
    BadCursorError: "invalid-cursor",
    MissingBlobError: "unknown-input",
    DigestMismatchError: "digest-mismatch",
    BlobTooLargeError: "too-large",
    StorageFullError: "storage-full",
}
"""Errors of the layers below whose text is meant for the caller."""


def problem_response(scope: Scope, error: ServiceError) -> Response:
    """Return the answer for a refusal."""
    return _response(scope, error.kind, error.detail, pointers=error.pointers, headers=error.headers)


def unavailable(error: Exception) -> ServiceError:
    """The refusal while the database is away; the driver's own text may name its address."""
    _LOG.warning("The database is away: %s", next(iter(str(error).splitlines()), type(error).__name__))
    detail = str(error) if isinstance(error, DatabaseBusyError) else "The database does not answer."
    return ServiceError("unavailable", detail, headers={"Retry-After": RETRY_S})


def internal_error(scope: Scope) -> Response:
    """Return the answer for a failure of our own; it tells nothing of the inside."""
    return _response(scope, KINDS["internal-error"], "The server could not answer; the failure is in its log.")


def install(app: FastAPI) -> None:
    """Make the framework's own refusals problems too."""

    def service_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        return problem_response(request.scope, error)

    def own_error(request: Request, error: Exception) -> Response:
        return problem_response(request.scope, ServiceError(_OWN[type(error)], str(error)))

    def database_error(request: Request, error: Exception) -> Response:
        if is_full(error):
            return problem_response(request.scope, ServiceError("storage-full", "The database has no space left."))
        if not is_away(error):
            raise error
        return problem_response(request.scope, unavailable(error))

    def damaged(request: Request, error: Exception) -> Response:
        _LOG.error("A blob cannot be read: %s", error)
        return internal_error(request.scope)

    app.add_exception_handler(ServiceError, service_error)
    for kind in _OWN:
        app.add_exception_handler(kind, own_error)
    for kind in MAY_BE_AWAY:
        app.add_exception_handler(kind, database_error)
    for broken in (BlobNotFoundError, CorruptBlobError):
        app.add_exception_handler(broken, damaged)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    pointers = [Pointer(_place(one["loc"]), str(one["msg"])) for one in error.errors()][:50]
    if any(one["type"] == "json_invalid" for one in error.errors()):
        return problem_response(request.scope, ServiceError("bad-request", "The body is not JSON."))
    detail = "; ".join(f"{one.pointer}: {one.message}" for one in pointers[:3])
    return problem_response(request.scope, ServiceError("invalid-request", f"{detail}.", pointers=pointers))


def _place(location: Sequence[str | int]) -> str:
    """Where a value of the request stands: ``query:limit``, or a JSON pointer into the body."""
    first, rest = str(location[0]), [_step(part) for part in location[1:]]
    if first in _PLACES:
        return f"{_PLACES[first]}:{'.'.join(rest)}"
    return "".join(f"/{step}" for step in rest)


def _step(part: str | int) -> str:
    text = str(part).encode("ascii", "backslashreplace").decode()
    return text.replace("~", "~0").replace("/", "~1")[:200]


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, "bad-request" if error.status_code < 500 else "internal-error")
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(allowed_methods(request.app.routes, request.scope))
    kind = KINDS[code]
    detail = f"{kind.title}." if error.status_code in (404, 405) else str(error.detail)
    return _response(request.scope, kind, detail, headers=headers)


def _response(
    scope: Scope,
    kind: Kind,
    detail: str,
    *,
    pointers: Sequence[Pointer] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    request_id = str(scope.get("state", {}).get("request_id", ""))
    document = problem_document(kind, detail, request_id=request_id, pointers=pointers)
    if wants_page(scope):
        page = _page(scope, document)
        page.headers.update(headers or {})
        return page
    # Escaped: a text of the request may hold lone surrogates, which UTF-8 cannot.
    body = json.dumps(document, ensure_ascii=True).encode()
    return Response(body, status_code=kind.status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def wants_page(scope: Scope) -> bool:
    """Whether a person looks at the answer in a browser, and the server has pages."""
    if scope["method"] not in ("GET", "POST") or scope["path"].startswith("/v1/"):
        return False
    pages = getattr(getattr(scope.get("app"), "state", None), "problem_page", None)
    return pages is not None and "text/html" in Headers(scope=scope).get("accept", "")


def _page(scope: Scope, document: Mapping[str, Any]) -> Response:
    page = scope["app"].state.problem_page(scope, document)
    assert isinstance(page, Response)
    return page
