"""What reaches a vendor's files: ``python -m benchmarks.deliver --cases DIR [--only NAME ...] [--write FILE]``.

Every case folder is searched on each target; then the delivered folder alone is read by the readers of
``tests/readers``, which know the formats and nothing of the product. Columns: share of the tensors in integers whose
every scale is in the model that the vendor's tool is handed and in ``ort_overrides.json``; share of the paths named in
its files that are there; gaps that are stated; and the error power of the handed model against the measured one.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import yaml

from benchmarks.cases import job_of
from tests.readers.folder import Scales, of_hmct, of_knight, of_model, of_overrides, share, stated

TARGETS = ("j6m", "j6p", "tx5105c", "ort-cpu")
HEAD = ("case", "target", "integer tensors", "handed model", "overrides", "paths", "gaps", "handed against measured")
HANDED: dict[str, tuple[str, Callable[[Path], Scales]]] = {
    "j6m": ("horizon/model.qdq.onnx", of_hmct),
    "j6p": ("horizon/model.qdq.onnx", of_hmct),
    "tx5105c": ("knight/model.qdq.onnx", of_knight),
    "ort-cpu": ("model.qdq.onnx", lambda folder: of_model(folder / "model.qdq.onnx")),
}
"""Target to the model its tool is handed and what reads it."""


def search(folder: Path, target: str, out: Path) -> bool:
    """Search one case by the command line; whether it delivered anything."""
    job = out.parent / "job.yaml"
    job.write_text(yaml.safe_dump(job_of(folder, target)))
    command = [sys.executable, "-m", "bitbudget", "search", "--spec", str(job), "--out", str(out)]
    subprocess.run(command, check=False, capture_output=True, timeout=1800)
    return (out / "deploy.json").is_file()


def row(folder: Path, target: str) -> list[str]:
    """Search one case on one target and read what it delivered."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out"
        if not search(folder, target, out):
            return [folder.name, target, *["–"] * (len(HEAD) - 2)]
        path, reader = HANDED[target]
        wanted = stated(out)
        gaps = json.loads((out / "deploy.json").read_text())["gaps"]
        there = [(out / one).exists() for one in named_paths(out, target)]
        return [
            folder.name,
            target,
            str(len(wanted)),
            f"{share(reader(out), wanted):.0%}",
            f"{share(of_overrides(out), wanted):.0%}",
            f"{sum(there)} of {len(there)}",
            ", ".join(sorted({gap["decision"] for gap in gaps})) or "none",
            agreement(out / "model.qdq.onnx", out / path),
        ]


def named_paths(out: Path, target: str) -> list[str]:
    """Every path that the vendor's files name."""
    if target.startswith("j6"):
        found = []
        for name in ("hb_compile.yaml", "hb_compile_load.yaml"):
            document = yaml.safe_load((out / "horizon" / name).read_text())
            calibration = document["calibration_parameters"]
            found += [document["model_parameters"]["onnx_model"], calibration["quant_config"]]
            found += str(calibration.get("cal_data_dir", "")).split(";") if "cal_data_dir" in calibration else []
        return found
    if target == "tx5105c":
        quant = json.loads((out / "knight/run_config.json").read_text())["quant"]
        return [quant["model"], *([quant["user-defined-script"]] if "user-defined-script" in quant else [])]
    return [json.loads((out / "ort_overrides.json").read_text())["meta"]["model"]]


def agreement(measured: Path, handed: Path) -> str:
    """Smallest ratio over the outputs of signal to difference in dB, on random inputs; ``equal`` without one."""
    one, other = (_session(path) for path in (measured, handed))
    rng = np.random.default_rng(0)
    feeds = {}
    for value in one.get_inputs():
        shape = [size if isinstance(size, int) else 1 for size in value.shape]
        feeds[value.name] = rng.normal(size=shape).astype(np.float32)
    worst = math.inf
    for a, b in zip(one.run(None, feeds), other.run(None, feeds), strict=True):
        noise = float(np.square(a.astype(np.float64) - b).sum())
        if noise:
            worst = min(worst, 10 * math.log10(float(np.square(a.astype(np.float64)).sum()) / noise))
    return "equal" if worst == math.inf else f"{worst:.0f} dB"


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(onnx.load(path).SerializeToString(), options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Run the cases and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--targets", nargs="*", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    folders = sorted(path.parent for path in arguments.cases.glob("*/case.json"))
    chosen = [folder for folder in folders if not arguments.only or folder.name in arguments.only]
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    for folder in chosen:
        for target in arguments.targets:
            lines.append(f"| {' | '.join(row(folder, target))} |")
            print(lines[-1], flush=True)
    if arguments.write is not None:
        head = "# What reaches the vendors' files\n\n" + (__doc__ or "").split("\n\n", 1)[1]
        arguments.write.write_text(f"{head}\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
