"""Content digests: of a file its bytes, of a directory ``{relative path: SHA-256}`` as canonical JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from search.canonical import digest_json


def file_digest(path: Path) -> str:
    """Return the SHA-256 of the bytes of ``path`` as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def directory_digest(root: Path, files: Iterable[Path]) -> str:
    """Return the digest of the files that were used, wherever the directory lies.

    Args:
        root: The directory.
        files: Files below it, in any order.
    """
    return digest_json({path.relative_to(root).as_posix(): file_digest(path) for path in files})
