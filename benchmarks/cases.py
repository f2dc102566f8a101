"""Every case folder on j6m and j6p: ``python -m benchmarks.cases --cases DIR [--only NAME ...] [--write FILE]``.

A case folder holds ``model.onnx``, ``calib`` and ``eval`` (``.npz`` or image folders) and ``case.json``, which says
metric and preprocessing. It is turned into a job spec here; the product knows nothing of case files. Each row is one
run of the command line in a process of its own, so that peak memory is the run's.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from search.data.open import open_stored
from search.graph.load import read_model
from search.runtime.arranging import arrange, read
from search.runtime.session import Level, Session
from search.spec.job import Preprocess
from search.work.loaded import inputs_of

TARGETS = ("j6m", "j6p")
HEAD = (
    "case",
    "target",
    "outcome",
    "metric",
    "float",
    "all low",
    "all high",
    "required",
    "chosen",
    "cost",
    "groups high",
    "evaluations",
    "full sets",
    "seconds",
    "FE",
    "peak MiB",
)

GOALS = """Goals: top-1 at most one point below float; a regression beside it at most 5 % above; without labels
cosine at least 0.99 and SQNR at least 30 dB on every output. Cost is an index, an estimate. Groups high: not at the
lowest precision of the target. FE: seconds of the search over the median of three float evaluations."""


def job_of(folder: Path, target: str) -> dict[str, Any]:
    """Turn ``case.json`` into a job spec."""
    case = json.loads((folder / "case.json").read_text())
    data: dict[str, Any] = {
        role: str(_data(folder, part)) for role, part in (("calibration", "calib"), ("evaluation", "eval"))
    }
    if "preprocess" in case:
        data["preprocess"] = {
            key: case["preprocess"][key] for key in ("order", "mean", "scale") if key in case["preprocess"]
        }
    return {
        "schema": "bitbudget.job/1",
        "model": str(folder / "model.onnx"),
        "data": data,
        "target": {"name": target},
        "goal": goals_of(case["metric"]),
    }


def goals_of(metric: dict[str, Any]) -> list[dict[str, Any]]:
    """Top-1 may drop one point; a regression beside it may grow by five percent; without labels: cosine and SQNR."""
    if metric["kind"] == "fidelity":
        return [{"metric": "cosine", "min_value": 0.99}, {"metric": "sqnr_db", "min_value": 30}]
    goals: list[dict[str, Any]] = [{"metric": "top1", "output": metric["logits"], "labels": "labels", "max_drop": 0.01}]
    if "regression" in metric:
        goals.append(
            {
                "metric": "mae",
                "output": metric["regression"],
                "labels": metric["regression_label"],
                "min_ratio": 1 / 1.05,
            }
        )
    return goals


def _data(folder: Path, part: str) -> Path:
    return folder / part if (folder / part).is_dir() else folder / f"{part}.npz"


def float_seconds(folder: Path, job: dict[str, Any]) -> float:
    """FE: median of three float evaluations over all samples, one thread, default optimization."""
    model = read_model(folder / "model.onnx")
    inputs = inputs_of(model)
    preprocess = Preprocess.model_validate(job["data"]["preprocess"]) if "preprocess" in job["data"] else None
    stored = open_stored(Path(job["data"]["evaluation"]), inputs, preprocess)
    session = Session(model.proto, level=Level.DEPLOYED)
    arrangement = arrange(session, inputs, [stored])
    source, feeding = read(stored, inputs, arrangement, {}), arrangement.feeding
    batches = [source.batch(indices) for indices, _ in feeding.slices(np.arange(source.n_samples))]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        for batch in batches:
            session.run(batch)
        times.append(time.perf_counter() - start)
    return sorted(times)[1]


def run(job: dict[str, Any], extra: list[str]) -> tuple[int, dict[str, Any], float]:
    """Run the command line on a job; return exit code, result and peak memory in MiB."""
    with tempfile.TemporaryDirectory() as temporary:
        spec = Path(temporary) / "job.json"
        spec.write_text(json.dumps(job))
        command = [
            sys.executable,
            "-m",
            "benchmarks.peak",
            "search",
            "--spec",
            str(spec),
            "--out",
            f"{temporary}/out",
            "--json",
            *extra,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            result = json.loads(done.stdout)
        except ValueError:
            return (
                done.returncode,
                {"error": [line for line in done.stderr.splitlines() if not line.startswith("peak_mib")][-1:]},
                0.0,
            )
        return done.returncode, result, float(done.stderr.rsplit("peak_mib=", 1)[-1].split()[0])


def rows_of(name: str, target: str, result: dict[str, Any], fe: float, peak: float) -> list[list[str]]:
    """One table row per metric; the run's figures stand in the first."""
    search, cost = result["search"], result["cost"]
    compute = [entry for entry in result["assignment"].values() if entry["role"] == "compute"]
    lowest = {"a8w8", "int8"} if target in ("j6e", "j6m") else {"a8w8", "fp16"}
    high = sum(entry["precision"] not in lowest for entry in compute)
    rows = []
    for i, metric in enumerate(result["metrics"]):
        run_cells = [
            f"{cost['chosen']:.3f}",
            f"{high} of {len(compute)}",
            str(search["evaluations"]),
            f"{search['full_set_equivalents']:.1f}",
            f"{search['seconds']:.1f}",
            f"{search['seconds'] / fe:.1f}",
            f"{peak:.0f}",
        ]
        bound = [_number(metric.get(key)) for key in ("all_low", "all_high")]
        values = [_number(metric["float"]), *bound, _number(metric["required"]), _number(metric["chosen"])]
        head = [name, target, result["outcome"]] if i == 0 else ["", "", ""]
        rows.append([*head, metric["id"], *values, *(run_cells if i == 0 else [""] * len(run_cells))])
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def main() -> None:
    """Print the table and optionally write it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--write", type=Path)
    args, extra = parser.parse_known_args()
    table = [list(HEAD)]
    for folder in sorted(path.parent for path in args.cases.resolve().glob("*/case.json")):
        if args.only and folder.name not in args.only:
            continue
        fe = float_seconds(folder, job_of(folder, args.targets[0]))
        for target in args.targets:
            code, result, peak = run(job_of(folder, target), extra)
            if "error" in result:
                table.append([folder.name, target, f"exit {code}: {result['error']}", *[""] * (len(HEAD) - 3)])
            else:
                table += rows_of(folder.name, target, result, fe, peak)
            print("  ".join(table[-1]), file=sys.stderr, flush=True)
    text = markdown(table)
    print(text)
    if args.write:
        args.write.write_text(f"# Cases\n\n{stamp()}\n\n{GOALS}\n\n{text}\n")


def stamp(command: str = "make bench-cases CASES=DIR") -> str:
    """Date, machine and command."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next(
        (line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")),
        platform.processor(),
    )
    return f"{datetime.date.today().isoformat()}, {model}, {platform.system()}, one thread; `{command}`."


def markdown(table: list[list[str]]) -> str:
    """Rows as a markdown table."""
    head, *body = table
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])


if __name__ == "__main__":
    main()
