"""Reading what a search delivered."""

from __future__ import annotations

import json
from pathlib import Path

from search.errors import UsageError
from search.records.result import Result
from search.study.delivery import RESULT


def read_result(path: Path) -> Result:
    """Return the result of a folder that a search delivered to, or of its ``result.json``.

    Raises:
        UsageError: If it cannot be read, or is no result.
    """
    file = path / RESULT if path.is_dir() else path
    try:
        return Result.from_json(json.loads(file.read_text("utf-8")))
    except OSError as error:
        raise UsageError(f"{str(file)!r} cannot be read: {error.strerror}. Name the folder of a search.") from None
    except ValueError as error:
        raise UsageError(f"{str(file)!r} is no result of a search: {error}") from None
