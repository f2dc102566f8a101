"""What the server may load: nothing that parses a model or runs one."""

import os
import subprocess
import sys

import pytest

FORBIDDEN = ("onnx", "onnx_ir", "onnxruntime", "optuna", "dbos", "scipy", "numpy")


def test_the_server_loads_neither_onnx_nor_a_runtime() -> None:
    code = f"import sys, service.app; print([name for name in {FORBIDDEN!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["service.cli", "workers"])
def test_linear_algebra_has_one_thread_wherever_a_study_runs(package: str) -> None:
    code = f"import os, sys, {package}; print(os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "8"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "False"]
