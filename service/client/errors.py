"""What can go wrong when a server is asked, by who must act."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_TEXT = 300


class ClientError(Exception):
    """Anything this client reports."""


class UnreachableError(ClientError):
    """No answer came: no connection, or it broke; asked again as often as allowed."""


class DamagedDownloadError(ClientError):
    """The bytes that came are not those that were announced; nothing was written."""


class WaitTimeoutError(ClientError):
    """The time to wait is over; the study goes on."""


class ApiError(ClientError):
    """The server refused.

    Attributes:
        status: HTTP status.
        code: Stable name of the problem, as docs/problems.md lists them; empty if the answer came from something else.
        detail: What happened.
        hint: What to do.
        pointers: Single mistakes: pointer to message.
        request_id: Finds the request in the server's log.
        retry_after_s: When to ask again; None if the server does not say.
    """

    def __init__(self, status: int, document: Mapping[str, Any], *, retry_after_s: float | None = None) -> None:
        self.status = status
        self.code = str(document.get("code", ""))
        self.detail = str(document.get("detail") or document.get("title") or f"HTTP status {status}")
        self.hint = str(document.get("hint", ""))
        found = document.get("pointers")
        self.pointers = {
            str(one.get("pointer")): str(one.get("message"))
            for one in (found if isinstance(found, list) else [])
            if isinstance(one, Mapping)
        }
        self.request_id = str(document.get("request_id", ""))
        self.retry_after_s = retry_after_s
        super().__init__(" ".join(part for part in (self.detail, self.hint) if part))


class AuthenticationError(ApiError):
    """401: no valid key."""


class ForbiddenError(ApiError):
    """403: the key may not do this."""


class NotFoundError(ApiError):
    """404: unknown, or another tenant's."""


class ConflictError(ApiError):
    """409 or 412: the state of the study does not allow it, or it changed meanwhile."""


class InvalidRequestError(ApiError):
    """Any other 4xx: the request must be changed."""


class TemporaryError(ApiError):
    """408, 425, 429, 502, 503, 504, 507: the same request may succeed later."""


class ServerError(ApiError):
    """500: a fault of the server."""


TEMPORARY = frozenset({408, 425, 429, 502, 503, 504, 507})
_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: AuthenticationError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    412: ConflictError,
}

_WITHOUT_BODY: Mapping[int, str] = {
    401: "The server does not accept the key, or there is none.",
    403: "The key may not do this.",
    404: "There is nothing at this address.",
    429: "The server is asked too often.",
    503: "The server cannot answer now.",
}
"""What to say where the answer has no body, as to HEAD."""


def error_of(status: int, body: bytes, *, retry_after: str | None = None) -> ApiError:
    """Return the error that an answer means.

    Args:
        status: 300 or more.
        body: A problem document, or whatever a proxy put there.
        retry_after: The header, if there is one.
    """
    kind = _BY_STATUS.get(status)
    if kind is None:
        kind = TemporaryError if status in TEMPORARY else ServerError if status >= 500 else InvalidRequestError
    seconds = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
    return kind(status, _document(status, body), retry_after_s=seconds)


def _document(status: int, body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, Mapping):
        return found
    text = " ".join(body.decode(errors="replace").split())[:MAX_TEXT]
    if text:
        return {"detail": f"The answer is no problem document: {text!r}."}
    return {"detail": _WITHOUT_BODY[status]} if status in _WITHOUT_BODY else {}
