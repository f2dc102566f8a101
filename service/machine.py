"""The machine: its kind of processor, on which results may depend, and its memory."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """Model name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(errors="replace").splitlines()
        names = [
            line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "cpu family", "model\t"))
        ]
        if names:
            return " ".join(names[:3])
    return platform.processor() or platform.machine()


def memory_bytes() -> int:
    """Memory that processes here may use: of the machine, or of the container if that has less."""
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else ""
    return min(most, int(text)) if text.isdecimal() else most


def described(name: str) -> str:
    """The processor called ``name``, how many of them, and the system: no name of the machine or of anybody."""
    return f"{name}, {os.cpu_count() or 1} processors, {platform.system()} {platform.machine()}"
