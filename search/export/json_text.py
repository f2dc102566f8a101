"""JSON files of ours: one line, UTF-8, no NaN."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def json_line(document: Mapping[str, Any]) -> bytes:
    """Return ``document`` as one line; equal documents give equal bytes.

    Raises:
        ValueError: If it holds NaN or an infinity.
    """
    text = json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return f"{text}\n".encode("utf-8", errors="backslashreplace")
