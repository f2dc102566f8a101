"""A directory of this machine, opened step by step from its root; no link below it is followed.

Every step opens one name relative to the directory before it with ``O_NOFOLLOW``, so that nobody who may write below
the root can lead a reader out of it, at whatever moment he tries.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.store.connections.errors import ConnectionDownError, ConnectionInputError
from service.store.connections.place import CHUNK, Entry, checked, is_hidden

MAX_DEPTH = 32
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not be waited for


class LocalPlace:
    """Files below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self, path: str) -> Iterator[Entry]:
        """Yield the file, or all files below the directory, by name; hidden ones are left out.

        Raises:
            ConnectionInputError: If there is none, or something below it is a link or no plain file.
        """
        with self._opened(path) as (descriptor, status):
            if stat.S_ISREG(status.st_mode):
                yield Entry("", status.st_size)
            else:
                yield from _below(descriptor, path, "", 0)

    def read(self, path: str) -> Iterator[bytes]:
        """Yield the bytes of a file.

        Raises:
            ConnectionInputError: If there is no such plain file.
        """
        with self._opened(path) as (descriptor, status):
            if not stat.S_ISREG(status.st_mode):
                raise ConnectionInputError(f"{path!r} is not a plain file.")
            with os.fdopen(os.dup(descriptor), "rb", buffering=0) as file:
                while chunk := file.read(CHUNK):
                    yield chunk

    @contextmanager
    def _opened(self, path: str) -> Iterator[tuple[int, os.stat_result]]:
        """The file or directory at ``path`` as a descriptor."""
        parts = checked(path)
        try:
            here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConnectionDownError(f"its directory cannot be opened: {error.strerror}") from None
        try:
            for part in parts:
                inner = _open(part, here, path)
                os.close(here)
                here = inner
            yield here, _status(here, path)
        finally:
            os.close(here)


def _below(descriptor: int, asked: str, prefix: str, depth: int) -> Iterator[Entry]:
    if depth > MAX_DEPTH:
        raise ConnectionInputError(f"{asked!r} has directories more than {MAX_DEPTH} deep.", "limit")
    for name in sorted(os.listdir(descriptor)):
        if is_hidden(name):
            continue
        path = prefix + name
        checked(path)
        inner = _open(name, descriptor, f"{asked}/{path}")
        try:
            status = _status(inner, f"{asked}/{path}")
            if stat.S_ISREG(status.st_mode):
                yield Entry(path, status.st_size)
            else:
                yield from _below(inner, asked, f"{path}/", depth + 1)
        finally:
            os.close(inner)


def _open(name: str, directory: int, shown: str) -> int:
    try:
        return os.open(name, _FLAGS, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise ConnectionInputError(f"There is no {shown!r}.") from None
        if error.errno == errno.ELOOP:
            raise ConnectionInputError(f"{shown!r} is a link, or lies behind one; links are not followed.") from None
        if error.errno in (errno.ENXIO, errno.EACCES, errno.EPERM):
            raise ConnectionInputError(f"{shown!r} cannot be read: {error.strerror}.") from None
        raise ConnectionDownError(f"{shown!r} cannot be opened: {error.strerror}") from None


def _status(descriptor: int, shown: str) -> os.stat_result:
    status = os.fstat(descriptor)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise ConnectionInputError(f"{shown!r} is neither a plain file nor a directory.")
    return status
