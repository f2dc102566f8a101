"""Exit codes: one table from errors and outcomes to what a pipeline branches on."""

from __future__ import annotations

from enum import IntEnum

from search.errors import (
    ExportMismatchError,
    InvalidDataError,
    InvalidModelError,
    SearchError,
    SelfTestError,
    UsageError,
)
from service.client.errors import (
    ApiError,
    AuthenticationError,
    ClientError,
    ForbiddenError,
    NotFoundError,
    ServerError,
    TemporaryError,
    UnreachableError,
    WaitTimeoutError,
)
from service.contract import StudyLine


class DatabaseAwayError(SearchError):
    """The database of this machine's installation does not answer for now."""


class Exit(IntEnum):
    """Exit codes of ``bitbudget``."""

    MET = 0
    USAGE = 2
    NOT_MET = 3
    CONTENT = 4
    FAILED = 5
    CANCELLED = 6
    NOT_ALLOWED = 7
    NOT_FOUND = 8
    TEMPORARY = 75
    WAIT_TIMED_OUT = 124
    INTERRUPTED = 130


_BY_ERROR: tuple[tuple[type[SearchError], Exit], ...] = (
    (UsageError, Exit.USAGE),
    (DatabaseAwayError, Exit.TEMPORARY),
    (InvalidModelError, Exit.CONTENT),
    (InvalidDataError, Exit.CONTENT),
    (SelfTestError, Exit.FAILED),
    (ExportMismatchError, Exit.FAILED),
)
_BY_CLIENT_ERROR: tuple[tuple[type[ClientError], Exit], ...] = (
    (WaitTimeoutError, Exit.WAIT_TIMED_OUT),
    (UnreachableError, Exit.TEMPORARY),
    (TemporaryError, Exit.TEMPORARY),
    (AuthenticationError, Exit.NOT_ALLOWED),
    (ForbiddenError, Exit.NOT_ALLOWED),
    (NotFoundError, Exit.NOT_FOUND),
    (ServerError, Exit.FAILED),
    (ApiError, Exit.USAGE),
)
FULL_QUEUE = "too-many-studies"
_BY_CODE = {"invalid-spec": Exit.USAGE, "pin-conflict": Exit.USAGE, "environment-changed": Exit.TEMPORARY}
"""Causes of a failed study that say more than who is to blame."""
_THEIRS = frozenset({"user", "limit"})


def exit_of_error(error: SearchError) -> Exit:
    """Exit code of an error the user meets."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.FAILED)


def exit_of_client_error(error: ClientError) -> Exit:
    """Exit code of what went wrong between here and the server."""
    if isinstance(error, ApiError) and error.code == FULL_QUEUE:
        return Exit.TEMPORARY
    return next((code for kind, code in _BY_CLIENT_ERROR if isinstance(error, kind)), Exit.FAILED)


def exit_of_result(outcome: str, stopped: str | None) -> Exit:
    """Exit code of a finished run; a limit does not change it, an interrupt does."""
    if stopped == "interrupt":
        return Exit.INTERRUPTED
    if stopped == "cancel":
        return Exit.CANCELLED
    return Exit.NOT_MET if outcome == "not_met" else Exit.MET


def exit_of_study(study: StudyLine) -> Exit:
    """Exit code of a study as it stands: one that has not ended is 0, the request was granted."""
    if study.state == "cancelled":
        return Exit.CANCELLED
    if study.state == "failed":
        if study.error is None:
            return Exit.FAILED
        return _BY_CODE.get(study.error.code, Exit.CONTENT if study.error.blame in _THEIRS else Exit.FAILED)
    return exit_of_result(study.outcome or "", study.stopped) if study.is_terminal else Exit.MET
