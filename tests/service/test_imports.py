"""What the server may load: nothing that parses a model or runs one."""

import subprocess
import sys

FORBIDDEN = ("onnx", "onnx_ir", "onnxruntime", "optuna", "dbos", "scipy", "numpy")


def test_the_server_loads_neither_onnx_nor_a_runtime() -> None:
    code = f"import sys, service.app; print([name for name in {FORBIDDEN!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
