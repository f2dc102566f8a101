"""Give the listed packages a virtual environment of their own, and make every network and its samples with it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.real.listing import Listed, Network

MAKING = Path(__file__).with_name("making.py")
N_SAMPLES = 24


def install(listed: Listed, folder: Path) -> Path:
    """Return the Python of an environment that has what is listed; pip runs only where the list changed."""
    python, stamp = folder / "venv/bin/python", folder / "venv/installed.txt"
    wanted = "\n".join((*listed.packages, *listed.libraries))
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *listed.libraries], check=True)
    subprocess.run([*pip, "--no-deps", *listed.packages], check=True)
    stamp.write_text(wanted)
    return python


def make(networks: Sequence[Network], python: Path, out: Path) -> None:
    """Write ``NAME.onnx`` and its samples for every network that is not there; ``NAME.failed`` says why it is not."""
    out.mkdir(parents=True, exist_ok=True)
    missing = [one for one in networks if not (out / f"{one.name}.onnx").exists()]
    if not missing:
        return
    described = [
        {
            "name": one.name,
            "source": one.source,
            "exporter": one.exporter,
            "inputs": {name: asdict(samples) for name, samples in one.samples.items()},
        }
        for one in missing
    ]
    request = out / "request.json"
    request.write_text(json.dumps({"networks": described, "out": str(out), "samples": N_SAMPLES}))
    subprocess.run([str(python), str(MAKING), str(request)], check=True)
