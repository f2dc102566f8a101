"""What the service can answer instead of a result: one registry of codes, sent as ``application/problem+json``.

A code keeps its meaning for ever; ``detail`` says what happened this time; ``hint`` says what to do. docs/problems.md
lists the registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TYPE_PREFIX = "urn:bitbudget:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem.

    Attributes:
        code: Its stable name.
        status: HTTP status it is answered with.
        title: What happened, in general.
        hint: What the caller can do.
        place: Where in the request the mistake is, unless the problem says it itself; "" is the body as a whole.
    """

    code: str
    status: int
    title: str
    hint: str
    place: str | None = None

    @property
    def type(self) -> str:
        """The URI that identifies it."""
        return TYPE_PREFIX + self.code


@dataclass(frozen=True, slots=True)
class Pointer:
    """One mistake in a request.

    Attributes:
        pointer: Where: a JSON pointer into the body (``/data/calibration``), or ``query:limit``, ``header:if-match``.
        message: What is wrong there.
    """

    pointer: str
    message: str


_KINDS = (
    Kind("bad-request", 400, "The request cannot be read", "Correct the request as the detail says."),
    Kind(
        "unauthenticated", 401, "A valid API key is needed", "Send 'Authorization: Bearer <key>', or sign in at /login."
    ),
    Kind("forbidden", 403, "The key may not do this", "Use a key that has the scope named in the detail."),
    Kind(
        "cross-origin",
        403,
        "The request comes from another site",
        "Send forms and scripts from the server's own pages.",
    ),
    Kind(
        "not-found",
        404,
        "There is nothing at this address",
        "Check the address and the id; GET /openapi.json lists all.",
    ),
    Kind("method-not-allowed", 405, "The address does not take this method", "Use a method of the Allow header."),
    Kind("request-timeout", 408, "The request came too slowly", "Send it again over a faster connection."),
    Kind(
        "state-conflict",
        409,
        "The state of the study does not allow this",
        "Read the study again and decide anew.",
        "path:study_id",
    ),
    Kind("in-use", 409, "Something still needs this", "Do first what the detail says.", "path:key_id"),
    Kind("too-many-studies", 409, "The tenant has too many studies that have not ended", "Wait for some to end.", ""),
    Kind(
        "webhooks-off",
        409,
        "Webhooks are switched off",
        "Ask the administrator to switch them on (docs/deploy.md).",
        "",
    ),
    Kind("too-many-webhooks", 409, "The tenant has too many webhooks", "Delete one that is not needed.", ""),
    Kind(
        "over-quota",
        409,
        "The tenant's storage is used up",
        "Delete what is not needed, or ask the administrator for more; space is free again after the grace time.",
        "",
    ),
    Kind(
        "changed-meanwhile",
        412,
        "The resource is no longer what If-Match says",
        "Read it again and decide anew.",
        "header:if-match",
    ),
    Kind("too-large", 413, "The request is larger than the limit", "GET /v1/limits lists the limits."),
    Kind(
        "unsupported-media-type",
        415,
        "The body has a type that is not understood",
        "Send the type named in the detail.",
    ),
    Kind("bad-range", 416, "The range lies outside the file", "Ask for bytes below the size in Content-Range."),
    Kind(
        "wrong-host",
        421,
        "The server does not answer under this host name",
        "Use the address the server was started for.",
    ),
    Kind("invalid-request", 422, "The request has wrong or missing values", "Correct what the pointers name.", ""),
    Kind(
        "invalid-spec",
        422,
        "The job spec cannot be used",
        "Correct what the pointers name; docs/job-spec.md has all keys.",
        "",
    ),
    Kind(
        "invalid-reference",
        422,
        "The spec does not name an input of the server",
        "Give sha256:<hex>, models/<id>, datasets/<id> or connection://<name>/<path>.",
        "",
    ),
    Kind(
        "unknown-input",
        422,
        "The spec names an input that is not there",
        "Upload it with PUT /v1/blobs/<sha256> first.",
        "",
    ),
    Kind(
        "digest-mismatch",
        422,
        "The bytes do not have the digest of the address",
        "Hash the file again and repeat.",
        "path:sha256",
    ),
    Kind(
        "idempotency-mismatch",
        422,
        "The Idempotency-Key was used for another request",
        "Use a new key.",
        "header:idempotency-key",
    ),
    Kind(
        "invalid-cursor",
        422,
        "The cursor was not given out by this list",
        "Begin again without a cursor.",
        "query:cursor",
    ),
    Kind("rate-limited", 429, "Too many requests", "Wait as long as Retry-After says."),
    Kind("too-many-streams", 429, "Too many event streams are open", "Close one; GET /v1/limits has the number."),
    Kind("internal-error", 500, "The server failed", "Repeat the request; if it fails again, report the request_id."),
    Kind("unavailable", 503, "The server cannot answer now", "Repeat the request as Retry-After says."),
    Kind("storage-full", 507, "The server has no space left", "Tell the administrator; repeat the request later."),
)
KINDS: Mapping[str, Kind] = {kind.code: kind for kind in _KINDS}


class ServiceError(Exception):
    """A request that cannot be served, for a reason its sender can read.

    Attributes:
        kind: Which problem of the registry.
        detail: What happened this time: what, where, the limit, the way out.
        pointers: Single mistakes of the request.
        headers: Headers that belong to the answer.
    """

    def __init__(
        self, code: str, detail: str, *, pointers: Sequence[Pointer] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = KINDS[code]
        self.detail = detail
        default = () if self.kind.place is None else (Pointer(self.kind.place, detail),)
        self.pointers = tuple(pointers) or default
        self.headers = dict(headers or {})


def problem_document(
    kind: Kind, detail: str, *, request_id: str, pointers: Sequence[Pointer] = (), status: int | None = None
) -> dict[str, Any]:
    """Return the body of an answer.

    Args:
        kind: Which problem.
        detail: What happened this time.
        request_id: Finds the request in the server's log.
        pointers: Single mistakes of the request.
        status: HTTP status if it is not the kind's own.
    """
    return {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status if status is None else status,
        "code": kind.code,
        "detail": detail,
        "hint": kind.hint,
        "pointers": [{"pointer": one.pointer, "message": one.message} for one in pointers],
        "request_id": request_id,
    }


def not_found(what: str) -> ServiceError:
    """Return the error for an id that is unknown or another tenant's: the two answer alike."""
    return ServiceError("not-found", f"There is no such {what}.")
