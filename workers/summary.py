"""What the row of a finished study says, from its ``result.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from search.records.result import Result
from search.study.delivery import RESULT
from workers.failures import StudyFailedError
from workers.study_repository import File

MAX_RESULT_BYTES = 256 * 2**20
_ELSEWHERE = frozenset({"assignment", "trials", "findings", "artifacts"})
"""What grows with the model or the search: it has tables and files of its own."""


def summary_of(files: Sequence[File], read: Callable[[str], bytes]) -> dict[str, Any]:
    """Return the columns that change.

    Args:
        files: What was delivered.
        read: Content of a blob.

    Raises:
        StudyFailedError: If the evaluator delivered no result, or one that cannot be one.
    """
    result = next((file for file in files if file.name == RESULT), None)
    if result is None or result.size > MAX_RESULT_BYTES:
        raise StudyFailedError("internal-error", "system", "The evaluator delivered no result of a sensible size.")
    document = Result.from_json(json.loads(read(result.digest))).to_json()
    summary = {key: value for key, value in document.items() if key not in _ELSEWHERE}
    return {"outcome": document["outcome"], "stopped": document["stopped"], "result": summary}
