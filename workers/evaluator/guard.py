"""What an evaluator may use: limits the kernel enforces, set by the process on itself before it sees any input.

These are limits on resources, not a sandbox: see SECURITY.md.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

MAX_FILES = 1024
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38


def restrict(*, memory_bytes: int, file_bytes: int, parent: int) -> None:
    """Bound memory, files and privileges for the rest of this process's life.

    Args:
        memory_bytes: Address space.
        file_bytes: Size of one file it writes.
        parent: Process id of the parent; this process ends with it.
    """
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, MAX_FILES)
    _lower(resource.RLIMIT_AS, memory_bytes)
    _lower(resource.RLIMIT_FSIZE, file_bytes)
    ignore_terminal()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    die_with_parent(parent)


def ignore_terminal() -> None:
    """Leave a terminal's Ctrl-C to the worker; a file that grows too large is an error where it is written."""
    for number in (signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def die_with_parent(parent: int) -> None:
    """Let the kernel end this process when process ``parent``, which started it, ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)


def hide() -> None:
    """Keep this process's environment and memory from others of the same user: for those that know secrets.

    An evaluator that a model has taken over would read them below ``/proc``. Not kept from root.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def address_space_left() -> int:
    """Return the bytes of address space that this process may still take; very many without a limit."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or sys.platform != "linux":
        return sys.maxsize
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    return limit - pages * resource.getpagesize()


def allow_cpu(seconds: float) -> None:
    """Give the next item this much processor time on top of what is used; beyond it the kernel ends the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = usage.ru_utime + usage.ru_stime
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))


def _lower(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (limit, limit))
