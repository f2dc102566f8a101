"""Which relative paths a collection of files may have.

They become paths only inside a private directory of an evaluator, but they are refused here already: absolute, ``..``,
backslash, drive letters, control characters, two names that a file system may take for one, a file that is also a
directory.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from service.problems import Pointer

MAX_NAME = 512
MAX_PART = 255
_DRIVE = re.compile(r"[A-Za-z]:")


def path_problems(paths: Iterable[str], *, at: str) -> Iterator[Pointer]:
    """Yield what is wrong with the paths of one collection.

    Args:
        paths: All paths, relative to the collection.
        at: JSON pointer of the mapping they are the keys of.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        pointer = f"{at}/{_escaped(path)}"
        mistake = _mistake(path)
        if mistake is not None:
            yield Pointer(pointer, mistake)
            continue
        folded = _folded(path)
        if folded in files:
            yield Pointer(pointer, f"is the same file as {files[folded]!r} on some file systems")
        files[folded] = path
        parts = folded.split("/")
        folders.update(("/".join(parts[:n]), path) for n in range(1, len(parts)))
    for folded in files.keys() & folders.keys():
        yield Pointer(f"{at}/{_escaped(files[folded])}", f"is a file, but {folders[folded]!r} needs it as a directory")


def _mistake(path: str) -> str | None:
    """What is wrong with one path, or None."""
    parts = path.split("/")
    if not path or len(path) > MAX_NAME or any(len(part.encode(errors="replace")) > MAX_PART for part in parts):
        return f"must have 1 to {MAX_NAME} characters, {MAX_PART} bytes between two slashes"
    if any(not character.isprintable() for character in path):
        return "must not have control or other invisible characters"
    if "\\" in path or _DRIVE.match(path):
        return "must use '/' and no drive letter"
    if any(part in ("", ".", "..") for part in parts) or path.startswith("~"):
        return "must be relative, without empty parts, '.', '..' or '~'"
    return None


def _folded(path: str) -> str:
    return unicodedata.normalize("NFKC", path).casefold()


def _escaped(path: str) -> str:
    """Return the path as one step of a JSON pointer (RFC 6901)."""
    return path.encode("ascii", "backslashreplace").decode().replace("~", "~0").replace("/", "~1")[:MAX_NAME]
