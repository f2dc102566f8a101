"""The delivered script is run before it is delivered: in a process of its own, which may die.

Inside the walls of a server's evaluator no further process can be made; it is one that may die itself, so the script
runs in it.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from search.deployment.float_model import FLOAT_MODEL
from search.export.files import SCRIPT

NEEDED = (SCRIPT, "ort_overrides.json", FLOAT_MODEL)
MAX_SECONDS = 900.0
SHOWN = 300  # characters of its last line


def script_failure(files: Mapping[str, bytes]) -> str | None:
    """Run ``ort_quantize.py`` beside the files it reads, as a user does.

    Args:
        files: Content by path.

    Returns:
        The last line it printed if it failed; None if it ended well.
    """
    if any(path not in files for path in NEEDED):
        return "a file that it reads is missing"
    with tempfile.TemporaryDirectory(prefix="bitbudget-script-") as name:
        folder = Path(name)
        for path in NEEDED:
            (folder / path).write_bytes(files[path])
        arguments = ["--output", str(folder / "model.ort_qdq.onnx")]
        try:
            code, told = _in_a_process(folder / SCRIPT, arguments)
        except OSError:  # walls allow no new process
            code, told = _here(folder / SCRIPT, arguments)
    if code == 0:
        return None
    lines = [line for line in told.splitlines() if line.strip()]
    return lines[-1].replace(f"{folder}{os.sep}", "").strip()[:SHOWN] if lines else f"exit code {code}"


def _in_a_process(script: Path, arguments: list[str]) -> tuple[int, str]:
    """Run it by this interpreter; nothing of a stranger's files is executed: the script is ours, its input is data.

    Raises:
        OSError: If no process can be made.
    """
    try:
        run = subprocess.run(  # noqa: S603
            [sys.executable, str(script), *arguments],
            cwd=script.parent,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"it takes longer than {MAX_SECONDS:g} s"
    return run.returncode, run.stdout + run.stderr


def _here(script: Path, arguments: list[str]) -> tuple[int, str]:
    """Run it in this process."""
    before, printed = sys.argv, io.StringIO()
    sys.argv = [str(script), *arguments]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        text = end.code if isinstance(end.code, str) else ""
        return (0 if end.code in (0, None) else 1), f"{printed.getvalue()}\n{text}"
    except Exception as error:  # noqa: BLE001  # whatever it is, the script is not delivered
        return 1, f"{type(error).__name__}: {error}"
    finally:
        sys.argv = before
    return 0, ""
