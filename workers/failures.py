"""Why a study failed, as the value that is stored with it: code, who must act, what happened, the way out.

An evaluator reports failures over its pipe; its parent adds those that the evaluator cannot report itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.errors import (
    ExportMismatchError,
    InvalidDataError,
    InvalidModelError,
    OutOfMemoryError,
    PinConflictError,
    SearchError,
    SelfTestError,
    UnsupportedModelError,
    UsageError,
)

MAX_MESSAGE = 4000
HINTS: Mapping[str, str] = {
    "invalid-spec": "Correct the job spec and submit it again.",
    "pin-conflict": "Change the pin or choose another target.",
    "invalid-model": "Export the model again and upload it.",
    "unsupported-model": "Change what the message names, and upload the model again.",
    "invalid-data": "Correct the data set and upload it again.",
    "self-test-failed": "Please report this model.",
    "export-mismatch": "Please report this model.",
    "memory-limit": "Use a smaller model or fewer samples, or ask the administrator for more memory.",
    "cpu-limit": "Use a smaller model or fewer samples, or ask the administrator for a longer limit.",
    "wall-limit": "Use a smaller model or fewer samples, or ask the administrator for a longer limit.",
    "evaluator-died": "The model makes the runtime crash. Export it with other settings, or report it.",
    "timeout": "Give run.timeout_s a larger value, or search.max_seconds a smaller one to get the best found.",
    "missing-input": "Upload the input again and submit the study again.",
    "damaged-input": "Upload the input again and submit the study again.",
    "connection-input": "Correct what the message names and submit the study again.",
    "connection-failed": "Ask the administrator to look at the connection; submit the study again.",
    "over-quota": "Delete what is not needed, or ask the administrator for more space; submit the study again.",
    "storage-full": "Tell the administrator; submit the study again when there is space.",
    "environment-changed": "Submit the study again; its workers must have one processor type and library version.",
    "internal-error": "Submit the study again; if it fails again, report its id.",
}
"""Every code with its way out."""
_CODES: tuple[tuple[type[SearchError], str, str], ...] = (
    (PinConflictError, "pin-conflict", "user"),
    (UsageError, "invalid-spec", "user"),
    (OutOfMemoryError, "memory-limit", "limit"),
    (UnsupportedModelError, "unsupported-model", "user"),
    (InvalidModelError, "invalid-model", "user"),
    (InvalidDataError, "invalid-data", "user"),
    (SelfTestError, "self-test-failed", "system"),
    (ExportMismatchError, "export-mismatch", "system"),
)


class StudyFailedError(Exception):
    """A study cannot go on.

    Attributes:
        code: Key of ``HINTS``.
        blame: Who must act: ``user | system | limit``.
        message: What, where, the limit.
    """

    def __init__(self, code: str, blame: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.blame = blame
        self.message = message

    def to_json(self) -> dict[str, Any]:
        """The value stored with the study."""
        message = self.message.replace("\0", "").encode("utf-8", "replace").decode()[:MAX_MESSAGE]
        return {"code": self.code, "blame": self.blame, "message": message, "hint": HINTS[self.code]}


def failure_of(error: SearchError) -> StudyFailedError:
    """Return the failure an error of the core means for a study."""
    for kind, code, blame in _CODES:
        if isinstance(error, kind):
            return StudyFailedError(code, blame, str(error))
    return StudyFailedError("internal-error", "system", str(error))


@dataclass(frozen=True)
class Reported:
    """A failure as an evaluator wrote it; the evaluator may be in the hands of a hostile model."""

    value: Any

    def failure(self) -> StudyFailedError:
        """Return the failure, whatever was written."""
        value = self.value if isinstance(self.value, dict) else {}
        code, blame = value.get("code"), value.get("blame")
        message = str(value.get("message", ""))
        if code not in HINTS or blame not in ("user", "system", "limit"):
            return StudyFailedError("internal-error", "system", message or "The evaluator failed without a reason.")
        return StudyFailedError(str(code), str(blame), message)
