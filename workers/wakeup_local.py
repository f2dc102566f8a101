"""Wake-ups between processes of one machine, over named pipes: one per process, all in one directory.

A wake-up is one line, below the size up to which a pipe takes all of a write or nothing. A pipe that nobody has open is
left from a process that has ended: whoever finds it deletes it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_SUFFIX = ".fifo"
_CHUNK = 2**16


class LocalTransport:
    """All pipes of a directory; ours is called ``own``.

    Args:
        folder: On a local disk; made if it is not there.
        own: No other process, dead or alive, has this name.
    """

    def __init__(self, folder: Path, own: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._own = folder / f"{own}{_SUFFIX}"
        self._inbox = self._open(own)

    def tell(self, name: str) -> None:
        """Write to every other pipe."""
        tell(self._folder, name, without=self._own)

    def listen(self, heard: Callable[[str], None]) -> None:
        """Read our pipe until ``close``."""
        rest = b""
        while True:
            *lines, rest = (rest + os.read(self._inbox, _CHUNK)).split(b"\n")
            for line in lines:
                if not line:
                    return
                heard(line.decode())

    def close(self) -> None:
        """End ``listen`` and be told nothing any more."""
        _write(self._own, b"\n")
        self._own.unlink(missing_ok=True)

    def _open(self, own: str) -> int:
        """Open our pipe before anybody can see it: one that nobody has open is deleted."""
        hidden = self._folder / f"{own}.new"
        os.mkfifo(hidden, 0o600)
        inbox = os.open(hidden, os.O_RDWR | os.O_CLOEXEC)  # with a writer of our own, it never ends
        hidden.rename(self._own)
        return inbox


def tell(folder: Path, name: str, *, without: Path | None = None) -> None:
    """Write to every pipe of a directory; one that is full holds wake-ups enough."""
    for path in folder.glob(f"*{_SUFFIX}"):
        if path != without:
            _write(path, f"{name}\n".encode())


def _write(path: Path, data: bytes) -> None:
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        path.unlink(missing_ok=True)  # nobody has it open
        return
    try:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(pipe, data)
    finally:
        os.close(pipe)
