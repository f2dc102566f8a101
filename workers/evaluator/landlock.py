"""Landlock: the files, ports and processes an evaluator can reach, narrowed by itself and for good.

Everything is refused but what is listed. Only the calling thread is bound, and those it starts afterwards: call it
while there is one.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_OF_FILES = (1 << 0) | (1 << 1) | _READ_FILE | (1 << 14)  # execute, write, read, truncate
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1}
_PORTS = 0b11  # bind and connect of TCP; since version 4
_SCOPES = 0b11  # abstract sockets and signals of processes outside; since version 6
_PORTS_SINCE, _SCOPES_SINCE, _FILES_UNTIL = 4, 6, 3


def version() -> int:
    """Version of the kernel's interface; 0 where there is none, or it is off."""
    return max(0, int(_syscall(_CREATE, None, 0, _VERSION)))


def restrict(*, readable: Iterable[Path], writable: Iterable[Path]) -> bool:
    """Leave this thread, and those it starts, these files and folders and no TCP port; False where the kernel cannot.

    Args:
        readable: Files, and folders with all below them, that may be read; what is not there is left out.
        writable: Folders in which everything may be done, except running programs of them.

    Raises:
        OSError: If the kernel knows Landlock and refuses.
    """
    known = version()
    if known == 0:
        return False
    files = _FILES[min(known, _FILES_UNTIL)]
    ports = _PORTS if known >= _PORTS_SINCE else 0
    scopes = _SCOPES if known >= _SCOPES_SINCE else 0
    wanted = struct.pack("=QQQ", files, ports, scopes)
    size = 24 if scopes else 16 if ports else 8
    ruleset = _checked(_syscall(_CREATE, wanted, size, 0))
    try:
        for path in readable:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        for path in writable:
            _allow(ruleset, path, files & ~1)
        _checked(_syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, path: Path, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        allowed = access if path.is_dir() else access & _OF_FILES
        _checked(_syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", allowed, place), 0))
    finally:
        os.close(place)


def _checked(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def _syscall(number: int, *arguments: object) -> int:
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return int(ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *given))
