"""The benchmark that decision 2 quotes still runs and prints what it says."""

import subprocess
import sys

from tests.docs.pages import ROOT

DIGITS = ROOT / "examples/digits"


def test_the_evaluator_benchmark_prints_every_way_in_multiples_of_float() -> None:
    command = [sys.executable, "-m", "benchmarks.evaluator", "--rounds", "1", "--model", str(DIGITS / "digits.onnx")]
    data = ["--calibration", str(DIGITS / "calibration.npz"), "--evaluation", str(DIGITS / "evaluation.npz")]
    done = subprocess.run([*command, *data], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    ways = [line.split(":")[0] for line in done.stdout.splitlines() if line.endswith("x float")]
    assert ways == [
        *("rebuild, all low",) * 2,
        *("rebuild, all high",) * 2,
        *("rebuild, mixed",) * 2,
        *("switches, activations",) * 2,
        *("switches, every point by linearity",) * 2,
        *("switches, weights behind If",) * 2,
    ]
