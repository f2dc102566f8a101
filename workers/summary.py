"""What the row of a finished study says, from its ``result.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from search.study.delivery import RESULT
from workers.failures import StudyFailedError
from workers.ledger import File

MAX_RESULT_BYTES = 256 * 2**20


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
    document = json.loads(read(result.digest))
    summary = {key: document[key] for key in ("outcome", "stopped", "metrics", "cost", "search")}
    return {"outcome": document["outcome"], "stopped": document["stopped"], "result": summary}
