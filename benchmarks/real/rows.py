"""One row: a network on a target through ``check`` and ``search``, and its delivered file through a default session."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.real.listing import Network

SEARCH_S = 60
"""Where a search stops with the best so far."""
LIMIT_S = 600.0
"""Where a run counts as a hang."""
TOLERANCE_DB = 0.5
"""The delivered file may differ by so much from what was measured, on outputs below ``EXACT_DB``."""
EXACT_DB = 60.0
REFUSALS = (2, 4)
WITHOUT_FILE = ("nothing-complete", "nothing-feasible", "not-in-file")
"""Findings that say why there is no file."""
COMPUTED = ("ort_float.onnx", "model.qdq.onnx", "trials.csv")


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of one network on one target; texts are ready to print.

    Attributes:
        network: Name of the list.
        target: Chip.
        outcome: ``met``, ``not_met``, or the refusal.
        cost: Index of the delivered assignment.
        float_compute: Share without an integer form, in percent.
        float_tensors: Share of values that groups write in float, in percent.
        fe: Time of the search over that of a float evaluation.
        peak_mib: Largest resident memory of the search.
        delivered: How the delivered file compares.
        wrong: What should not be; empty where all is right.
        stderr: Lines on stderr that are none of ours.
    """

    HEAD: ClassVar[tuple[str, ...]] = (
        *("network", "target", "outcome", "cost", "float compute", "float tensors", "FE", "peak MiB"),
        *("delivered", "wrong"),
    )

    network: str
    target: str
    outcome: str
    cost: str = ""
    float_compute: str = ""
    float_tensors: str = ""
    fe: str = ""
    peak_mib: str = ""
    delivered: str = ""
    wrong: str = ""
    stderr: str = ""

    def cells(self) -> list[str]:
        """The row of the table."""
        found = [self.network, self.target, self.outcome, self.cost, self.float_compute, self.float_tensors]
        return [cell.replace("|", "/") for cell in (*found, self.fe, self.peak_mib, self.delivered, self.wrong)]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; ``code`` is None where it ran into the limit."""

    code: int | None
    stdout: str
    stderr: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        """What stands on stderr, without the line of the peak memory."""
        return [line for line in self.stderr.splitlines() if line.strip() and not line.startswith("peak_mib=")]


def run(network: Network, target: str, models: Path) -> Row:
    """Check and search one network."""
    failed = models / f"{network.name}.failed"
    if failed.exists():
        return Row(network.name, target, f"not exported: {failed.read_text()[:120]}")
    with tempfile.TemporaryDirectory() as folder:
        job, out = Path(folder) / "job.json", Path(folder) / "out"
        job.write_text(json.dumps(job_of(network, target, models)))
        model = models / f"{network.name}.onnx"
        checked = command(["check", str(model), "--target", target, "--json"])
        searched = command(["search", "--spec", str(job), "--out", str(out), "--max-seconds", str(SEARCH_S), "--json"])
        if checked.code not in (0, *REFUSALS):
            return Row(network.name, target, "check", wrong=_fault("check", checked))
        if searched.code not in (0, 3):
            return _refused(network, target, searched, has_computed=any((out / name).exists() for name in COMPUTED))
        return _answered(network, target, models, searched, out)


def job_of(network: Network, target: str, models: Path) -> dict[str, Any]:
    """The job of one row."""
    constants = {name: one.value for name, one in network.samples.items() if one.value is not None}
    return {
        "schema": "bitbudget.job/1",
        "model": str((models / f"{network.name}.onnx").resolve()),
        "data": {
            role: str((models / f"{network.name}-{role}.npz").resolve()) for role in ("calibration", "evaluation")
        },
        "target": {"name": target},
        "inputs": {name: {"constant": value} for name, value in constants.items()},
        "goal": [{"metric": "sqnr_db", "min_value": 20}],
    }


def command(arguments: list[str]) -> Ended:
    """Run the command line in a process of its own."""
    began = time.monotonic()
    whole = [sys.executable, "-m", "benchmarks.peak", *arguments]
    try:
        done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return Ended(None, "", "", time.monotonic() - began)
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def _fault(name: str, ended: Ended) -> str:
    if ended.code is None:
        return f"{name} hangs"
    return f"{name} ends with {ended.code}: {' '.join(ended.lines[-1:])[:200]}"


def _refused(network: Network, target: str, ended: Ended, *, has_computed: bool) -> Row:
    if ended.code not in REFUSALS:
        return Row(network.name, target, "none", wrong=_fault("search", ended))
    text = " ".join(ended.lines[-1:])[:200]
    late = "refused after computing" if has_computed else ""
    return Row(network.name, target, f"refused after {ended.seconds:.0f} s: {text}", wrong=late)


def _answered(network: Network, target: str, models: Path, ended: Ended, out: Path) -> Row:
    result = json.loads(ended.stdout)
    search, quantized, stopped = result["search"], result["quantized"] or {}, result["stopped"]
    fe = search["seconds"] / max(search["float_evaluation_seconds"] or 0, 1e-3)
    delivered, wrong = compared(network, models, result, out)
    errors = [one["code"] for one in result["findings"] if one["severity"] == "error" and one["code"] != "goal-missed"]
    return Row(
        network=network.name,
        target=target,
        outcome=", ".join([result["outcome"], *([f"stopped by {stopped}"] if stopped else []), *errors]),
        cost="" if result["cost"]["chosen"] is None else f"{result['cost']['chosen']:.3f}",
        float_compute=_percent(quantized.get("possible")),
        float_tensors=_percent(quantized.get("tensors")),
        fe=f"{fe:.0f}",
        peak_mib=ended.stderr.rsplit("peak_mib=", 1)[-1].strip(),
        delivered=delivered,
        wrong=wrong,
        stderr="; ".join(line for line in ended.lines if "arning" in line or "onnxruntime" in line)[:500],
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{1 - share:.1%}"


def compared(network: Network, models: Path, result: dict[str, Any], out: Path) -> tuple[str, str]:
    """How the delivered file compares with what was measured, and what is wrong with it."""
    delivered = out / "model.qdq.onnx"
    if not delivered.exists():
        why = [one["code"] for one in result["findings"] if one["code"] in WITHOUT_FILE]
        return f"no file ({', '.join(why)})", "" if why else "nothing was delivered, and no finding says so"
    constants = {name: one.value for name, one in network.samples.items() if one.value is not None}
    arguments = [models / f"{network.name}.onnx", delivered, models / f"{network.name}-evaluation.npz"]
    whole = [sys.executable, "-m", "benchmarks.real.opening", *map(str, arguments), json.dumps(constants)]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode:
        return "does not open", f"opening ends with {done.returncode}: {done.stderr.splitlines()[-1:]}"[:300]
    here = json.loads(done.stdout.splitlines()[-1])
    measured = {goal["output"]: goal["qdq"] for goal in result["metrics"] if goal["name"] == "sqnr_db"}
    apart = {name: (here.get(name), value) for name, value in measured.items() if not _is_equal(here.get(name), value)}
    if apart:
        return "differs", "; ".join(f"{name}: {a} in a default session, {b} measured" for name, (a, b) in apart.items())
    least = min(here.values(), default=200.0)
    return f"equal, {least:.1f} dB", ""


def _is_equal(here: float | None, measured: float | None) -> bool:
    if here is None or measured is None:
        return False
    return abs(here - measured) <= TOLERANCE_DB or min(here, measured) >= EXACT_DB
