"""Files to upload: their digests, and what a directory holds."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path

BLOCK = 1 << 20


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_below(folder: Path) -> dict[str, Path]:
    """Return every regular file below a directory by its relative path, ``/`` between the parts.

    Raises:
        NotADirectoryError: If it is none.
    """
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


class Receiving:
    """A file that is there only once it is whole and has the digest it should have.

    Attributes:
        target: Where it goes.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
        self._path = Path(name)
        self._file = os.fdopen(handle, "wb")
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._hash.update(data)
        self._file.write(data)

    def finish(self, digest: str) -> bool:
        """Put the file in its place; False, and no file, if it has another digest."""
        self._file.close()
        if self._hash.hexdigest() != digest:
            self._path.unlink()
            return False
        umask = os.umask(0)
        os.umask(umask)
        self._path.chmod(0o666 & ~umask)
        self._path.replace(self.target)
        return True

    def abandon(self) -> None:
        """Leave nothing; does no harm after ``finish``."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def place_in(folder: Path, name: str) -> Path:
    """Return where a file the server names goes below a folder.

    Raises:
        ValueError: If the name leads out of it.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts) or Path(name).is_absolute():
        raise ValueError(f"The server names a file {name!r}, which is no relative path.")
    return folder.joinpath(*parts)
