"""Run the command line and say its peak memory on stderr: ``python -m benchmarks.peak ARGS``.

The high-water mark is read from the kernel, not from ``getrusage``: that one starts at the parent's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bitbudget.__main__ import main


def peak_mib() -> float:
    """Largest resident memory of this process so far, in MiB; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


if __name__ == "__main__":
    try:
        main()
    finally:
        print(f"peak_mib={peak_mib():.0f}", file=sys.stderr)
