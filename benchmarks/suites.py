"""Public collections of small models: ``python -m benchmarks.suites --suites DIR [--write FILE]``.

Every ``.onnx`` file below the folders and those that the onnx package brings for its own tests go through ``check``;
those with small inputs of fixed size also through ``search --calibration random`` on each target. Each run is a forked
process that may die or hang; this process only imports the command line, so that a run starts at once.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import json
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import onnx

TARGETS = ("j6m", "j6p", "ort-cpu")
ONNX_PARTS = ("light", "simple", "pytorch-converted", "pytorch-operator")
LIMIT_S = {"check": 60.0, "search": 120.0}
LARGEST_INPUT = 2**16
"""Elements of one sample of all inputs: a model with more is too slow to be searched with thousands of others."""
LARGEST_FILE = 2**20
MEMORY_BYTES = 6 * 2**30
LOADED_ONCE = (
    "service.cli.commands",
    "bitbudget.__main__",
    "service.cli.check",
    "service.cli.search",
    "service.local.inspection",
    "service.local.local_run",
    "sympy",
)
"""What every run needs, imported before the first fork: without it most of the time of a small model is imports."""
FAULTS = ("fault of ours", "crash", "hang")
RAW = ("ONNX Runtime cannot", "[ONNXRuntimeError]")
REASON_CHARS = 150


@dataclass(frozen=True, slots=True)
class Run:
    """One command on one model.

    Attributes:
        suite: Name of the collection.
        model: Path below it.
        command: ``check`` or ``search``.
        target: Chip.
        ending: ``accepted``, ``refused``, or one of ``FAULTS``.
        reason: Of a refusal, with names and numbers taken out.
        message: Last line of what was said.
        seconds: From start to end.
    """

    suite: str
    model: str
    command: str
    target: str
    ending: str
    reason: str
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Model:
    """A file of a collection."""

    suite: str
    name: str
    path: Path


def models_in(folders: Iterable[Path]) -> Iterator[Model]:
    """Every ONNX file below ``folders``, then those of the installed onnx package."""
    for folder in folders:
        for path in sorted(folder.rglob("*.onnx")):
            yield Model(folder.name, str(path.relative_to(folder)), path)
    data = Path(onnx.__file__).parent / "backend" / "test" / "data"
    for part in ONNX_PARTS:
        for path in sorted((data / part).rglob("*.onnx")):
            yield Model(f"onnx/{part}", str(path.relative_to(data / part)), path)


def is_small(path: Path) -> bool:
    """Whether all inputs are declared with fixed sizes (the first may be open) and hold few elements."""
    if path.stat().st_size > LARGEST_FILE:
        return False
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception:  # noqa: BLE001  broken files are among them; ``check`` says so
        return False
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value.type.tensor_type.shape for value in graph.input if value.name not in constants]
    sizes = [[d.dim_value if d.HasField("dim_value") else -1 for d in shape.dim] for shape in inputs]
    is_fixed = all(size > 0 for shape in sizes for size in shape[1:])
    return bool(sizes) and is_fixed and sum(prod(shape[1:]) for shape in sizes) <= LARGEST_INPUT


def run_apart(model: Model, command: str, target: str) -> Run:
    """Run one command in a process of its own and say how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        arguments = [command, str(model.path), "--target", target]
        if command == "search":
            arguments += ["--calibration", "random", "--out", str(Path(folder) / "out")]
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _become(arguments, said)
        status = _wait(child, LIMIT_S[command])
        text = said.read_text(errors="replace") if said.exists() else ""
    return _told(model, command, target, status=status, text=text, seconds=time.monotonic() - began)


def _become(arguments: Sequence[str], said: Path) -> None:
    """In the child: run the command line with all output into a file, and leave with its code."""
    code = 70
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        file = os.open(said, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, 1)
        os.dup2(file, 2)
        importlib.import_module("bitbudget.__main__").main(list(arguments))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(child: int, limit_s: float) -> int | None:
    """Exit status, negative for a signal; None where the limit was reached and the child was ended."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _told(model: Model, command: str, target: str, *, status: int | None, text: str, seconds: float) -> Run:
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("error", "failed", "Usage"))]
    message = (errors or lines or [""])[-1]
    ending = {None: "hang", 0: "accepted", 3: "accepted", 2: "refused", 4: "refused", 5: "fault of ours"}.get(
        status, "crash"
    )
    if ending == "refused" and any(raw in message for raw in RAW):
        ending = "runtime's text"
    reason = "" if ending == "accepted" else _reason(message) or f"ended with {status}"
    return Run(model.suite, model.name, command, target, ending, reason, message, seconds)


def _reason(message: str) -> str:
    """The message without names and numbers, so that equal reasons are equal."""
    text = re.sub(r"^(error|failed): ", "", message)
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'…'", text)
    text = re.sub(r"[-\w./]+/[-\w./]+", "…", text)
    text = re.sub(r"\[[^\]]*\]", "[…]", text)
    text = re.sub(r"\b(?:[A-Z][a-z0-9]+){1,} '…'", "OPERATOR '…'", text)
    return re.sub(r"\d[\d.,]*", "#", text)[:REASON_CHARS]


def table(runs: Sequence[Run]) -> str:
    """The table of ``suites.md``."""
    lines = [
        "| suite | command | target | models | accepted | refused by name | runtime's text | fault | crash | hang |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for suite, command, target in dict.fromkeys((run.suite, run.command, run.target) for run in runs):
        same = [run for run in runs if (run.suite, run.command, run.target) == (suite, command, target)]
        counts = Counter(run.ending for run in same)
        endings = ("accepted", "refused", "runtime's text", *FAULTS)
        cells = [suite, command, target, str(len(same)), *(str(counts[ending]) for ending in endings)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def reasons(runs: Sequence[Run]) -> str:
    """How often each reason was given, most frequent first."""
    counted = Counter((run.command, run.ending, run.reason) for run in runs if run.ending != "accepted")
    lines = ["| models × targets | command | ending | reason |", "|---|---|---|---|"]
    for (command, ending, reason), count in counted.most_common():
        lines.append(f"| {count} | {command} | {ending} | {reason.replace('|', '/')} |")
    return "\n".join(lines)


def recorded(path: Path | None) -> list[Run]:
    """Runs of earlier pieces, from a file of one JSON object per line; none where there is no such file."""
    if path is None or not path.exists():
        return []
    return [Run(**json.loads(line)) for line in path.read_text().splitlines()]


def measure(
    models: Sequence[Model], commands: Sequence[str], targets: Sequence[str], known: Sequence[Run] = ()
) -> Iterator[Run]:
    """Run every command on every model and target; ``check`` knows no search, so it runs on the first target only.

    Those that are ``known`` are not run again.
    """
    done = {(run.suite, run.model, run.command, run.target) for run in known}
    for name in LOADED_ONCE:
        importlib.import_module(name)
    for command in commands:
        for model in models:
            if command == "search" and not is_small(model.path):
                continue
            for target in targets if command == "search" else targets[:1]:
                if (model.suite, model.name, command, target) not in done:
                    yield run_apart(model, command, target)


def main() -> None:
    """Run and print; with ``--write`` also into a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=Path, nargs="*", default=[])
    parser.add_argument("--only", default="", help="part of the path")
    parser.add_argument("--every", type=int, default=1, help="take every n-th model only")
    parser.add_argument("--commands", nargs="*", default=["check", "search"])
    parser.add_argument("--targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--record", type=Path, help="file that keeps every run, so that a stopped command goes on")
    parser.add_argument("--verbose", action="store_true", help="every run that was not accepted, as it ends")
    options = parser.parse_args()
    models = [model for model in models_in(options.suites) if options.only in str(model.path)][:: options.every]
    runs = recorded(options.record)
    for run in measure(models, options.commands, options.targets, tuple(runs)):
        runs.append(run)
        if options.record is not None:
            with options.record.open("a") as file:
                file.write(json.dumps(asdict(run)) + "\n")
        if options.verbose and run.ending != "accepted":
            print(
                f"{run.ending:14} {run.command} {run.target} {run.model} [{run.seconds:.1f} s]: {run.message[:300]}",
                flush=True,
            )
    text = f"{table(runs)}\n\n{reasons(runs)}\n"
    print(text)
    if options.write is not None:
        part = "every model" if options.every == 1 else f"one model in {options.every}, from the first on"
        options.write.write_text(f"{HEAD.format(date=datetime.date.today().isoformat(), part=part)}\n{text}")


HEAD = """# Public collections of small models

{date}; written by `make bench-suites SUITES="DIR ..."` (`benchmarks/suites.py`) on {part}.
The folders given are not part of the repository: here the 779 models below 100 kB of ONNX Runtime's own tests, many of
them odd on purpose; beside them those that the installed onnx package brings. `check` reads a model and lays the rules
of a chip over it; `search` runs the whole pipeline on random samples for the models with small inputs of fixed size.
Wanted: accepted, or refused with a reason that says what, where and the way out; the last four columns are 0.
"""


if __name__ == "__main__":
    main()
