"""What a connection leads to: files below one root, listed and read, never written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from service.store.connections.errors import ConnectionInputError
from service.store.names import path_problems

CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file.

    Attributes:
        path: Relative to what was asked for; empty if that is the file itself.
        size: Bytes as the place says.
    """

    path: str
    size: int


class Place(Protocol):
    """Somewhere with files."""

    def entries(self, path: str) -> Iterator[Entry]:
        """Yield the file, or all files below the directory, that ``path`` names."""
        ...

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file."""
        ...


def checked(path: str) -> tuple[str, ...]:
    """Return the parts of a path that cannot lead out of a root.

    Raises:
        ConnectionInputError: If it could, or if it chains file systems with ``::``.
    """
    mistakes = [one.message for one in path_problems([path], at="")]
    if "::" in path or "://" in path:
        mistakes.append("must not have '::' or '://'")
    if mistakes:
        raise ConnectionInputError(f"The path {path!r} of a connection {mistakes[0]}.")
    return tuple(path.split("/"))


def is_hidden(path: str) -> bool:
    """Whether a file is one of those that systems put beside the user's own."""
    return any(part.startswith(".") for part in path.split("/"))
