"""The kind of processor: results may differ between two kinds."""

from __future__ import annotations

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
