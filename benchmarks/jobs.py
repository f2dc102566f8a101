"""One search by one process and by several, in turns: ``python -m benchmarks.jobs --case DIR [--jobs 2] [--rounds 1]``.

A case folder is that of ``benchmarks.cases``. Printed are the seconds of every kind of work, their ratio, the largest
memory of all processes together, and the processor time of the busiest process: on a machine that others keep busy, it
says what the wall would be on a free one. The run fails if an answer differs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cases import job_of

MEASURED = ("seconds", "float_evaluation_seconds")
SHARED = ("compare", "sensitivity", "evaluate", "recheck", "unoptimized")
"""Kinds of work that are cut into tasks; the others are one item each."""


@dataclass(frozen=True)
class Ran:
    """One run of the command line.

    Attributes:
        result: ``result.json`` without measured times.
        seconds: By kind of work; ``wall`` from start to end of the program, ``search`` as the result says.
        peak_mib: Largest memory of all processes together.
        busiest: Processor seconds of the process that had most to do.
    """

    result: dict[str, Any]
    seconds: dict[str, float]
    peak_mib: float
    busiest: float


def run(spec: Path, out: Path, jobs: int) -> Ran:
    """Search once."""
    command = [sys.executable, "-m", "bitbudget", "search", "--spec", str(spec), "--out", str(out)]
    start, peak, busiest = time.monotonic(), 0.0, 0.0
    with subprocess.Popen([*command, "--jobs", str(jobs)], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            pids = _family(process.pid)
            peak = max(peak, sum(_resident_mib(pid) for pid in pids))
            busiest = max(busiest, *(_processor_seconds(pid) for pid in pids))
            time.sleep(0.2)
    if process.returncode not in (0, 3):
        raise SystemExit(f"The search ended with {process.returncode}.")
    seconds: dict[str, float] = defaultdict(float)
    seconds["wall"] = time.monotonic() - start
    for line in (out / ".bitbudget" / "results.jsonl").read_text().splitlines():
        stored = json.loads(line)
        seconds[stored["kind"]] += stored["seconds"]
    result = json.loads((out / "result.json").read_text())
    seconds["search"] = result["search"]["seconds"]
    for key in MEASURED:
        result["search"].pop(key)
    return Ran(result, dict(seconds), peak, busiest)


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    text = _text(Path(f"/proc/{pid}/task/{pid}/children"))
    return [pid, *(one for child in text.split() for one in _family(int(child)))]


def _resident_mib(pid: int) -> float:
    """Resident memory; 0 for a process that has just ended."""
    lines = _text(Path(f"/proc/{pid}/status")).splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


def _processor_seconds(pid: int) -> float:
    """Processor time so far; 0 for a process that has just ended."""
    fields = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def table(one: list[Ran], many: list[Ran], jobs: int) -> list[str]:
    """Lines of a Markdown table."""
    lines = [f"| | 1 job, s | {jobs} jobs, s | ratio |", "|---|---|---|---|"]
    kinds = [kind for kind in SHARED if kind in one[0].seconds]
    sums = {"cut into tasks": kinds, **{kind: [kind] for kind in kinds}, "search": ["search"], "wall": ["wall"]}
    for name, parts in sums.items():
        a, b = (median([sum(ran.seconds[part] for part in parts) for ran in runs]) for runs in (one, many))
        lines.append(f"| {name} | {a:.1f} | {b:.1f} | {b / a if a else float('nan'):.2f} |")
    a, b = (median([ran.busiest for ran in runs]) for runs in (one, many))
    lines.append(f"| busiest process, processor time | {a:.1f} | {b:.1f} | {b / a:.2f} |")
    a, b = (max(ran.peak_mib for ran in runs) for runs in (one, many))
    return [*lines, f"| peak memory, MiB | {a:.0f} | {b:.0f} | {b / a:.2f} |"]


def main() -> None:
    """Run in turns and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", type=Path, required=True)
    parser.add_argument("--target", default="j6m")
    parser.add_argument("--strategy", default="ladder")
    parser.add_argument("--evaluator", default="fake_quant")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    job = job_of(options.case.resolve(), options.target)
    job["search"] = {"strategy": options.strategy, "evaluator": options.evaluator}
    one: list[Ran] = []
    many: list[Ran] = []
    with tempfile.TemporaryDirectory() as temporary:
        spec = Path(temporary) / "job.json"
        spec.write_text(json.dumps(job))
        for turn in range(options.rounds):
            one.append(run(spec, Path(temporary) / f"one{turn}", 1))
            many.append(run(spec, Path(temporary) / f"many{turn}", options.jobs))
    if any(ran.result != one[0].result for ran in (*one, *many)):
        raise SystemExit("The answers differ.")
    print(f"{options.case.name}, {options.target}, {options.strategy}, {options.evaluator}\n")
    print("\n".join(table(one, many, options.jobs)))


if __name__ == "__main__":
    main()
