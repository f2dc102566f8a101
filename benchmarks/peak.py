"""Run the command line and say its peak memory on stderr: ``python -m benchmarks.peak ARGS``."""

from __future__ import annotations

import resource
import sys

from service.cli.main import main

if __name__ == "__main__":
    try:
        main()
    finally:
        print(f"peak_mib={resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}", file=sys.stderr)
