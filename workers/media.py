"""Media types of delivered files, by their names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

_TYPES: Mapping[str, str] = {
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".yaml": "application/yaml",
    ".py": "text/x-python; charset=utf-8",
}


def media_type(name: str) -> str:
    """Return the media type of a file; models and arrays are plain bytes."""
    return _TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
