"""A lock that one process has on an open file: it ends with the file, however the process ends."""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import IO, Any

fcntl: Any = None
with suppress(ImportError):  # Windows has none
    fcntl = importlib.import_module("fcntl")


def try_lock(file: IO[bytes]) -> bool:
    """Take the lock of a file that is open for writing; False if another process has it."""
    try:
        if fcntl is None:
            other: Any = importlib.import_module("msvcrt")
            other.locking(file.fileno(), other.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the second is Windows' word for it
        return False
    return True
