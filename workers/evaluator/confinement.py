"""The wall around an evaluator: what the kernel enforces once it is told its study, before it opens any input.

It reads its own inputs, the blobs its worker lends it, libraries and facts about the processor; it writes its own
folder. No network, no other process, no database, no blob of anybody else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from search import errors
from service import machine
from workers import failures
from workers.evaluator import landlock, seccomp

SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/null",
    "/dev/zero",
    "/dev/urandom",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system",
)
"""What libraries read: code, and facts about this machine."""
_PACKAGES = tuple(Path(str(module.__file__)).parent for module in (errors, machine, failures))
"""Our own code, wherever it is installed."""


def available() -> Sequence[str]:
    """Names of the walls this kernel has, for the log and ``doctor``."""
    version = landlock.version()
    found = [f"landlock {version}"] if version else []
    return [*found, *(["seccomp"] if seccomp.is_available() else [])]


def confine(folder: Path, inputs: Iterable[Path], lent: Path | None) -> None:
    """Put up every wall the kernel has, for the rest of this process's life; it must have one thread.

    Args:
        folder: The only place it may write.
        inputs: Files and folders of its study; links in them are followed here.
        lent: Where its worker puts blobs it asks for.
    """
    readable = [*_libraries(), *_files(inputs), *([] if lent is None else [lent])]
    landlock.restrict(readable=readable, writable=[folder])
    seccomp.install(os.getpid())


def _libraries() -> Iterator[Path]:
    """Code that may be loaded late."""
    yield from map(Path, SYSTEM)
    yield from (Path(sys.prefix), Path(sys.base_prefix))
    yield from _PACKAGES


def _files(inputs: Iterable[Path]) -> Iterator[Path]:
    for path in inputs:
        yield path.resolve()
        if path.is_dir():
            yield from (one.resolve() for one in path.rglob("*") if one.is_symlink())
