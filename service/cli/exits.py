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


class Exit(IntEnum):
    """Exit codes of ``bitbudget``."""

    MET = 0
    USAGE = 2
    NOT_MET = 3
    CONTENT = 4
    FAILED = 5
    CANCELLED = 6
    INTERRUPTED = 130


_BY_ERROR: tuple[tuple[type[SearchError], Exit], ...] = (
    (UsageError, Exit.USAGE),
    (InvalidModelError, Exit.CONTENT),
    (InvalidDataError, Exit.CONTENT),
    (SelfTestError, Exit.FAILED),
    (ExportMismatchError, Exit.FAILED),
)


def exit_of_error(error: SearchError) -> Exit:
    """Exit code of an error the user meets."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.FAILED)


def exit_of_result(outcome: str, stopped: str | None) -> Exit:
    """Exit code of a finished run; a limit does not change it, an interrupt does."""
    if stopped == "interrupt":
        return Exit.INTERRUPTED
    if stopped == "cancel":
        return Exit.CANCELLED
    return Exit.NOT_MET if outcome == "not_met" else Exit.MET
