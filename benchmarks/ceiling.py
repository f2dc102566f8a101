"""What this machine gives two processes that share nothing: ``python -m benchmarks.ceiling MODEL RUNS BATCH``.

It runs a model on random inputs, from the moment its input ends. ``ceiling`` lets one such process do the work and then
two of them, half each: what two workers can gain at most, at this minute.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from search.graph.load import read_model
from search.runtime.session import Level, Session

RUNS, BATCH = 80, 64


def ceiling(model: Path, runs: int = RUNS, batch: int = BATCH) -> float:
    """How many times as fast two processes run a model as one does."""
    return _seconds(model, 1, runs, batch) / _seconds(model, 2, runs // 2, batch)


def _seconds(model: Path, n_processes: int, runs: int, batch: int) -> float:
    """Seconds until every one of the processes has made so many runs."""
    command = [sys.executable, "-m", "benchmarks.ceiling", str(model), str(runs), str(batch)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(n_processes)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    begun = time.monotonic()
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        assert process.wait() == 0
    return time.monotonic() - begun


def main() -> None:
    """Be one of the processes."""
    path, runs, batch = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    user = read_model(path)
    session = Session(user.proto, level=Level.DEPLOYED, threads=1)
    dice = np.random.default_rng(0)
    feeds = {
        value.name: dice.normal(0, 1, [batch, *(int(size) for size in value.shape[1:])]).astype(value.dtype)
        for value in user.inputs
    }
    session.run(feeds)
    print("ready", flush=True)
    sys.stdin.read()
    for _ in range(runs):
        session.run(feeds)


if __name__ == "__main__":
    main()
